"""The model registry: logging, verifying, registering and loading forecasters."""

import os
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from importlib.metadata import version
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

from forecast import Forecaster
from forecast.command import module_command
from forecast.errors import DataWarning, ModelDamaged, Problem
from forecast.predictor import DEFAULT_LEVELS
from forecast.pyfunc import saved_folder
from forecast.reference import ModelReference
from forecast.saved import golden_input, golden_table
from pipelines.tracking import connect, registry_errors

REQUIREMENTS = ("torch", "numpy", "pandas", "pyarrow", "pydantic", "safetensors")


@dataclass(frozen=True)
class LoadedModel:
    """A forecaster and where it came from.

    Attributes:
        forecaster: Ready to predict; its golden forecast was checked.
        name, version, run_id: In the registry; None for a folder.
    """

    forecaster: Forecaster
    name: str | None = None
    version: str | None = None
    run_id: str | None = None


def load(reference: str) -> LoadedModel:
    """Load a model by its name or from a folder.

    Raises:
        ParameterError: The text names no model.
        ModelNotFound: There is no such model.
        ModelDamaged: Its files are not what was saved.
        RegistryUnavailable: The registry does not answer.
    """
    wanted = ModelReference.parse(reference)
    if wanted.folder is not None:
        return LoadedModel(Forecaster.load(wanted.folder))
    client = connect()
    import mlflow

    with registry_errors(str(wanted)), tempfile.TemporaryDirectory() as folder:
        number = run_id = None
        if wanted.name is not None:
            found = (
                client.get_model_version_by_alias(wanted.name, wanted.alias)
                if wanted.alias
                else client.get_model_version(wanted.name, wanted.version or "")
            )
            number, run_id = str(found.version), found.run_id
        uri = f"models:/{wanted.name}/{number}" if number else wanted.uri
        files = mlflow.artifacts.download_artifacts(uri, dst_path=folder)
        return LoadedModel(Forecaster.load(saved_folder(files)), wanted.name, number, run_id)


def log_model(model: Forecaster, run_id: str) -> str:
    """Log a forecaster with a run, as a pyfunc without pickle.

    Returns:
        Its address, `models:/m-...`.
    """
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    example = example_frame(model)
    key = [ColSpec("string", "item_id"), ColSpec("datetime", "timestamp")]
    if example["timestamp"].dtype.kind != "M":
        key[1] = ColSpec("long", "timestamp")
    numbers = [ColSpec("double", name) for name in ("mean", *map(str, DEFAULT_LEVELS))]
    covariates = model.config.covariates
    beside = [
        ColSpec("string" if name in covariates.categories else "double", name, required=False)
        for name in covariates.names
    ]
    signature = ModelSignature(
        inputs=Schema([*key, ColSpec("double", "target"), *beside]),
        outputs=Schema([*key, *numbers]),
        params=ParamSchema(
            [
                ParamSpec("prediction_length", "long", model.prediction_length),
                ParamSpec("quantile_levels", "double", list(DEFAULT_LEVELS), shape=(-1,)),
            ]
        ),
    )
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), _active(run_id):
        warnings.simplefilter("ignore", DataWarning)  # the example has a gap, on purpose
        saved = Path(folder) / "forecaster"
        model.save(saved)
        info = mlflow.pyfunc.log_model(
            name="model",
            loader_module="forecast.pyfunc",
            data_path=str(saved),
            signature=signature,
            input_example=(example, {"prediction_length": model.prediction_length}),
            pip_requirements=[f"{package}=={version(package).partition('+')[0]}" for package in REQUIREMENTS],
        )
    return str(info.model_uri)


@contextmanager
def _active(run_id: str) -> Iterator[None]:
    """Make a run the one that MLflow logs models with, without ending it afterwards."""
    import mlflow

    status = mlflow.MlflowClient().get_run(run_id).info.status
    with mlflow.start_run(run_id=run_id):
        yield
    mlflow.MlflowClient().update_run(run_id, status)


def verify(model_uri: str) -> None:
    """Load a logged model in a fresh process that may not unpickle, and check its golden forecast there.

    Raises:
        ModelDamaged: It cannot be loaded, or answers otherwise.
    """
    done = subprocess.run(
        module_command("pipelines.verify", model_uri),
        env={**os.environ, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ModelDamaged(
            Problem(f"the logged model {model_uri} failed its check: {reason}", "nothing was registered; train again")
        )


def register(name: str, model_uri: str, tags: dict[str, str]) -> str:
    """Make a verified model the newest version of a registered one, and say which.

    Args:
        name: The registered model, made where there is none.
        model_uri: What `log_model` returned.
        tags: Tags of the version.
    """
    import mlflow

    with registry_errors(), redirect_stderr(StringIO()):  # MLflow prints what it did
        for known in mlflow.MlflowClient().search_model_versions(f"name = '{name}'"):
            if known.source == model_uri:  # a command that was cut off came that far
                return str(known.version)
        return str(mlflow.register_model(model_uri, name, tags=tags).version)


def example_frame(model: Forecaster) -> pd.DataFrame:
    """The input of the golden forecast as a long frame: what a model can be tried with.

    For covariates known in advance it goes on, without a target, over the steps to forecast.
    """
    golden = golden_input(model.config)
    table = golden_table(golden, model.config.covariates)
    past = np.where(table.observed, table.values, np.nan).astype(np.float64)
    future = model.prediction_length if model.config.covariates.known else 0
    times = table.timestamps(table.times(np.arange(len(past) + future)[None]))
    target = np.append(past, np.full(future, np.nan))
    frame = pd.DataFrame({"item_id": table.item_ids[0], "timestamp": times, "target": target})
    for name in model.config.covariates.varying:
        values = golden["past_covariates"][name] + golden["future_covariates"].get(name, [None] * future)
        frame[name] = pd.Series(values, dtype="str" if name in model.config.covariates.categories else float)
    return frame.assign(**golden.get("static_covariates", {}))
