"""A saved model: a folder of `config.json`, `model.safetensors` and `golden.json`.

Nothing in it is code or pickle. The golden forecast is an input and what the model must answer to it;
loading checks it, so that a model which would answer otherwise on this machine is never used. The input
is made up: no training data leave with the model.
"""

import json
import tempfile
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.torch import load as deserialise
from safetensors.torch import save as serialise

from forecast.calendar import Frequency, feature_names
from forecast.columns import Columns
from forecast.config import CovariatesConfig, ForecasterConfig
from forecast.covariate_features import static_size, varying_size
from forecast.covariate_lists import CovariateLists, columns_of, with_future
from forecast.covariate_lists import Value as CovariateValue
from forecast.errors import ForecastError, ModelDamaged, ModelNotFound, ParameterError, Problem
from forecast.networks import Ensemble, Network
from forecast.series import lay_out
from forecast.table import SeriesTable

SCHEMA_VERSION = 2
CONFIG, WEIGHTS, GOLDEN = "config.json", "model.safetensors", "golden.json"
TOLERANCE = 1e-4  # of the golden forecast's own size: what kernels of other machines may differ by


def build_network(config: ForecasterConfig) -> Network:
    """The network that the resolved configuration of one describes, with fresh weights."""
    known = len(feature_names(config.calendar_frequency)) + varying_size(config.covariates)
    return Network(config, known, static_size(config.covariates))


def build_ensemble(config: ForecasterConfig, members: Sequence[Network]) -> Ensemble:
    """Networks as a resolved configuration combines them."""
    return Ensemble(members, config.quantile_levels, config.combination, bool(config.nonnegative))


def save_model(folder: str | Path, config: ForecasterConfig, network: Ensemble, golden: dict[str, Any]) -> None:
    """Write a model, whole or not at all: a model that is there already is replaced at the end.

    Raises:
        ParameterError: The folder holds something else, which would be lost.
    """
    target = Path(folder).absolute()
    _check_replaceable(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as workspace:
        draft, old = Path(workspace) / "new", Path(workspace) / "old"
        draft.mkdir()
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
        weights = serialise(tensors)
        settings = {
            "schema_version": SCHEMA_VERSION,
            "weights_sha256": sha256(weights).hexdigest(),
            **config.model_dump(mode="json"),
        }
        (draft / WEIGHTS).write_bytes(weights)
        (draft / CONFIG).write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
        (draft / GOLDEN).write_text(json.dumps(golden) + "\n", encoding="utf-8")
        if target.exists():
            target.rename(old)
        try:
            draft.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise


def load_model(folder: str | Path) -> tuple[ForecasterConfig, Ensemble, dict[str, Any]]:
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
            raise ModelDamaged(_damaged(source / WEIGHTS, "is not the file that was saved"))
        config = ForecasterConfig.build(**settings)
        _check_resolved(config)
        network = build_ensemble(config, [build_network(one) for one in config.networks])
        network.load_state_dict(deserialise(weights))
    except (OSError, ParameterError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:200]
        raise ModelDamaged(_damaged(source, f"cannot be read: {reason}")) from error
    return config, network.eval(), golden


def golden_input(config: ForecasterConfig) -> dict[str, Any]:
    """A made-up series a little shorter than the context, with a season, noise and a gap."""
    steps = max(config.longest_context - 1, config.minimum_history or 1)
    random = np.random.default_rng(20240101)
    time = np.arange(steps)
    season = (config.networks[0].network.shortcut or (1,))[0]
    values = 100 + 20 * np.sin(2 * np.pi * time / max(season, 2)) + 5 * random.standard_normal(steps)
    target: list[float | None] = [round(float(value), 3) for value in values]
    if steps > 3:
        target[steps // 2] = None
    series = {"item_id": "golden", "start": "2024-01-01T00:00:00", "freq": config.frequency, "target": target}
    return {**series, **_made_up_covariates(config, steps, random)}


def golden_table(golden: dict[str, Any], covariates: CovariatesConfig) -> SeriesTable:
    """The golden input as a table of one series, with what is known of its future."""
    frequency = Frequency.parse(golden["freq"])
    target = np.array(golden["target"], np.float64)  # None is NaN
    start = np.int64(0) if frequency.kind == "step" else np.datetime64(golden["start"], "us")
    times = frequency.advance(np.asarray(start), np.arange(len(target)))
    codes = np.zeros(len(target), np.int64)
    item_ids = np.array([golden["item_id"]], object)
    if not covariates.names:
        return lay_out(Columns(item_ids, codes, times, target), frequency)
    lists = [CovariateLists(**{part: golden[f"{part}_covariates"] for part in ("past", "future", "static")})]
    columns = columns_of(lists, [len(target)], covariates)
    table = lay_out(Columns(item_ids, codes, times, target, covariates=columns), frequency)
    return with_future(table, lists, covariates)


def check_golden(
    golden: dict[str, Any],
    covariates: CovariatesConfig,
    answer: Callable[[SeriesTable], npt.NDArray[np.floating]],
) -> None:
    """Let a model answer the golden input, and compare with what it must answer.

    Args:
        golden: The golden forecast as it was saved.
        covariates: The model's covariates.
        answer: The model's quantiles for a table of one series, `(H, Q)`.

    Raises:
        ModelDamaged: They differ by more than rounding, or there is nothing to compare.
    """
    try:
        expected = np.array(golden["forecast"], np.float64)
        found = answer(golden_table(golden, covariates))
    except (ForecastError, KeyError, TypeError, ValueError) as error:
        raise ModelDamaged(
            Problem(f"the golden forecast cannot be made: {error!r}", "fetch the model again")
        ) from error
    same = found.shape == expected.shape and np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max()
    if not same:
        raise ModelDamaged(
            Problem(
                "the model does not give its golden forecast on this machine", "fetch the model again, or train it here"
            )
        )


def _made_up_covariates(config: ForecasterConfig, steps: int, random: np.random.Generator) -> dict[str, Any]:
    """Covariates for the golden series, by the names a request gives them; none for a model without."""
    covariates = config.covariates

    def made_up(name: str, size: int) -> list[CovariateValue]:
        if name in covariates.categories:
            return [str(label) for label in random.choice(covariates.categories[name], size)]
        mean, deviation = covariates.scales[name]
        return [round(float(value), 6) for value in mean + deviation * random.standard_normal(size)]

    if not covariates.names:
        return {}
    return {
        "past_covariates": {name: made_up(name, steps) for name in covariates.varying},
        "future_covariates": {name: made_up(name, config.prediction_length) for name in covariates.known},
        "static_covariates": {name: made_up(name, 1)[0] for name in covariates.static},
    }


def _check_resolved(config: ForecasterConfig) -> None:
    """Refuse settings left open, which only training data could fill in."""
    decided = ("context_length", *(f"network.{one}" for one in ("num_layers", "patch_length", "shortcut", "transform")))
    settings = {name: getattr(config, name) for name in ("frequency", "minimum_history")}
    for number, one in enumerate(config.networks):
        own = {**dict(one), **{f"network.{name}": value for name, value in one.network}}
        settings.update({f"members.{number}.{name}" if config.members else name: own[name] for name in decided})
    covariates = config.covariates
    settings.update({f"covariates.{name}": covariates.scales.get(name) for name in covariates.names})
    settings.update({f"covariates.{name}": labels for name, labels in covariates.categories.items()})
    for name, value in settings.items():
        if value is None:
            raise ParameterError(Problem(f"{name} is not set", field=name))


def _check_replaceable(folder: Path) -> None:
    """Refuse to write over anything but a model or an empty folder."""
    if not folder.exists():
        return
    if folder.is_dir():
        held = sorted(path.name for path in folder.iterdir() if path.name not in (CONFIG, WEIGHTS, GOLDEN))
        fault = f"holds {held[0]!r}, which is no part of a model" if held else None
    else:
        fault = "is a file"
    if fault:
        raise ParameterError(Problem(f"{str(folder)!r} {fault}", "save to a new folder", field="folder"))


def _damaged(path: Path, fault: str) -> Problem:
    return Problem(f"{str(path)!r} {fault}", "fetch the model again")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelDamaged(_damaged(path, f"cannot be read: {error}")) from error
    if not isinstance(content, dict):
        raise ModelDamaged(_damaged(path, "does not hold an object"))
    return content
