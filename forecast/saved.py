"""A saved model: a folder of `config.json`, `model.safetensors` and `golden.json`.

Nothing in it is code or pickle. The golden forecast is an input and what the model must answer to it;
loading checks it, so that a model which would answer otherwise on this machine is never used. The input
is made up: no training data leave with the model.
"""

import json
import os
import shutil
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from forecast.calendar import Frequency, feature_names
from forecast.columns import Columns
from forecast.config import ForecasterConfig
from forecast.errors import ModelDamaged, ModelNotFound, Problem
from forecast.networks import Network
from forecast.series import lay_out
from forecast.table import SeriesTable

SCHEMA_VERSION = 1
CONFIG, WEIGHTS, GOLDEN = "config.json", "model.safetensors", "golden.json"
TOLERANCE = 1e-4  # of the golden forecast's own size: what kernels of other machines may differ by


def build_network(config: ForecasterConfig) -> Network:
    """The network a resolved configuration describes, with fresh weights."""
    return Network(config, len(feature_names(Frequency.parse(config.frequency or "step"))))


def save_model(folder: str | Path, config: ForecasterConfig, network: Network, golden: dict[str, Any]) -> None:
    """Write a model, whole or not at all: a folder that is there already is replaced at the end."""
    target = Path(folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
        save_file(weights, draft / WEIGHTS)
        digest = sha256((draft / WEIGHTS).read_bytes()).hexdigest()
        settings = {"schema_version": SCHEMA_VERSION, "weights_sha256": digest, **config.model_dump(mode="json")}
        (draft / CONFIG).write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
        (draft / GOLDEN).write_text(json.dumps(golden) + "\n", encoding="utf-8")
        os.chmod(draft, 0o755)
        if target.exists():
            shutil.rmtree(target)
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def load_model(folder: str | Path) -> tuple[ForecasterConfig, Network, dict[str, Any]]:
    """Read a model: its configuration, its network ready to answer, and its golden forecast.

    Raises:
        ModelNotFound: There is no model in the folder.
        ModelDamaged: A file is missing, altered, or of another version.
    """
    source = Path(folder)
    if not (source / CONFIG).is_file():
        raise ModelNotFound(Problem(f"there is no model in {str(source)!r}", f"name a folder that holds {CONFIG}"))
    settings = _read_json(source / CONFIG)
    version, digest = settings.pop("schema_version", None), settings.pop("weights_sha256", None)
    if version != SCHEMA_VERSION:
        raise ModelDamaged(
            Problem(
                f"{str(source)!r} is a model of schema version {version}, this release reads version {SCHEMA_VERSION}",
                "save it anew with this release",
            )
        )
    golden = _read_json(source / GOLDEN)
    try:
        weights = (source / WEIGHTS).read_bytes()
        if sha256(weights).hexdigest() != digest:
            raise ModelDamaged(Problem(f"{str(source / WEIGHTS)!r} is not the file that was saved", "fetch the model again"))
        config = ForecasterConfig(**settings)
        network = build_network(config)
        network.load_state_dict(load_file(source / WEIGHTS))
    except (OSError, ValidationError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:200]
        raise ModelDamaged(Problem(f"the model in {str(source)!r} cannot be read: {reason}", "fetch the model again")) from error
    return config, network.eval(), golden


def golden_input(config: ForecasterConfig) -> dict[str, Any]:
    """A made-up series a little shorter than the context, with a season, noise and a gap."""
    steps = max((config.context_length or 1) - 1, config.minimum_history or 1)
    random = np.random.default_rng(20240101)
    time = np.arange(steps)
    season = config.network.shortcut or 1
    values = 100 + 20 * np.sin(2 * np.pi * time / max(season, 2)) + 5 * random.standard_normal(steps)
    target: list[float | None] = [round(float(value), 3) for value in values]
    if steps > 3:
        target[steps // 2] = None
    return {"item_id": "golden", "start": "2024-01-01T00:00:00", "freq": config.frequency, "target": target}


def golden_table(golden: dict[str, Any]) -> SeriesTable:
    """The golden input as a table of one series."""
    frequency = Frequency.parse(golden["freq"])
    target = np.array([np.nan if value is None else value for value in golden["target"]])
    start = np.int64(0) if frequency.kind == "step" else np.datetime64(golden["start"], "us")
    times = frequency.advance(np.asarray(start), np.arange(len(target)))
    return lay_out(Columns(np.array([golden["item_id"]], object), np.zeros(len(target), np.int64), times, target), frequency)


def check_golden(golden: dict[str, Any], forecast: npt.NDArray[np.floating]) -> None:
    """Compare a forecast of the golden input with the one it must be.

    Raises:
        ModelDamaged: They differ by more than rounding.
    """
    expected = np.asarray(golden["forecast"], np.float64)
    same = forecast.shape == expected.shape and np.abs(forecast - expected).max() <= TOLERANCE * np.abs(expected).max()
    if not same:
        raise ModelDamaged(
            Problem("the model does not give its golden forecast on this machine", "fetch the model again, or train it here")
        )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelDamaged(Problem(f"{str(path)!r} cannot be read: {error}", "fetch the model again")) from error
    if not isinstance(content, dict):
        raise ModelDamaged(Problem(f"{str(path)!r} does not hold an object", "fetch the model again"))
    return content

