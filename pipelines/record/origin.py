"""What a run was made from: settings, data, code and packages."""

import platform
import subprocess
from collections.abc import Sequence
from hashlib import sha256
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from forecast.table import SeriesTable
from pipelines.record.files import ASKED, CONFIG
from pipelines.settings import TrainConfig, as_written, flatten
from pipelines.tracking import user

if TYPE_CHECKING:
    from mlflow import MlflowClient

PACKAGES = ("forecast-inside", "torch", "pytorch-lightning", "numpy", "pandas", "mlflow")


def describe(
    client: "MlflowClient", run_id: str, config: TrainConfig, table: SeriesTable, asked: TrainConfig | None = None
) -> None:
    """What a run was made from: settings, data, code and packages.

    Args:
        client: MLflow's client.
        run_id: The run.
        config: Its settings, complete.
        table: The series.
        asked: The settings before the data completed them, where these are others.
    """
    from mlflow.entities import Param, RunTag

    (start, end), commit = time_span(table), _git_commit()
    tags = {
        "network": config.forecaster.label,
        "recipe": config.recipe,
        "prediction_length": str(config.forecaster.prediction_length),
        "data": config.data.address,
        "data.sha256": data_digest(table),
        "data.start": start,
        "data.end": end,
        "data.series": str(len(table)),
        "data.values": str(int(table.observed.sum())),
        "data.frequency": table.frequency.alias,
        "git.commit": commit,
        "mlflow.source.git.commit": commit.partition("+")[0],
        "mlflow.user": user(),
        "mlflow.source.name": "forecast train",
        "python": platform.python_version(),
        **{f"package.{name}": version(name) for name in PACKAGES},
        **config.tracking.tags,
    }
    params = flatten(config.model_dump(mode="json"))
    client.log_batch(
        run_id,
        params=[Param(key, str(value)[:6000]) for key, value in params.items()],
        tags=[RunTag(key, value) for key, value in tags.items() if value],
    )
    client.log_text(run_id, as_written(config), CONFIG)
    client.log_text(run_id, as_written(asked or config), ASKED)


def data_digest(table: SeriesTable) -> str:
    """SHA-256 over everything the table holds."""
    digest = sha256(repr((table.frequency.alias, str(table.tz), list(table.item_ids))).encode())
    for array in (table.offsets, table.lengths, table.starts, table.values, table.observed):
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    if table.covariates is not None:
        digest.update(repr((table.covariates.names.all, table.covariates.categories)).encode())
        for array in (table.covariates.lengths, table.covariates.values, table.covariates.static):
            digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    return digest.hexdigest()


def time_span(table: SeriesTable) -> tuple[str, str]:
    """The first and the last time in the table."""
    first = table.timestamps(table.times((table.lengths * 0)[:, None])).min()
    last = table.timestamps(table.times((table.lengths - 1)[:, None])).max()
    return str(first), str(last)


def _git_commit() -> str:
    """The commit of the working folder, with "+changes" where it was not clean; "" outside a repository."""
    try:
        commit = _git("rev-parse", "HEAD")
        return commit + ("+changes" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _git(*words: str) -> str:
    done: Sequence[str] = ["git", *words]
    return subprocess.run(done, capture_output=True, text=True, check=True).stdout.strip()
