"""What a run says about itself: what it was made from, and how good it is."""

import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Sequence
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import yaml
from pytorch_lightning.callbacks import Callback

from forecast import Forecaster
from forecast.backtest import Backtest
from forecast.errors import ParameterError, Problem
from forecast.table import SeriesTable
from forecast.training import epoch_metrics
from pipelines.evaluation import METRIC, THIS, Scores, as_markdown, best_baseline
from pipelines.settings import TrainConfig, as_tree, as_written, flatten
from pipelines.tracking import registry_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Artifacts: the settings, complete and as they were asked for, and what came of them.
CONFIG, ASKED = "config.yaml", "asked.yaml"
LEADERBOARD, WINDOWS = "leaderboard.csv", "backtest/windows.parquet"

PACKAGES = ("forecast-inside", "torch", "pytorch-lightning", "numpy", "pandas", "mlflow")


class RunMetrics(Callback):
    """Logs each epoch's losses to a run, in one request an epoch.

    Args:
        client: MLflow's client.
        run_id: The run.
        networks: How many are trained, one after the other; of several, each has curves with its number.
        group: What the training losses are named by.
    """

    def __init__(self, client: "MlflowClient", run_id: str, networks: int = 1, group: str = "train") -> None:
        self.client = client
        self.run_id = run_id
        self.networks = networks
        self.group = group
        self._finished = 0

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        from mlflow.entities import Metric

        epoch = epoch_metrics(trainer)
        names = {
            "train_loss": f"{self.group}/loss",
            "val_loss": "validation/loss",
            "learning_rate": f"{self.group}/learning_rate",
        }
        number = f" {self._finished + 1:02d}" if self.networks > 1 else ""
        now, step = int(time.time() * 1000), int(epoch["epoch"])
        metrics = [Metric(names[key] + number, epoch[key], now, step) for key in names if key in epoch]
        with registry_errors():
            self.client.log_batch(self.run_id, metrics=metrics)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._finished += 1


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

    start, end = time_span(table)
    tags = {
        "network": config.forecaster.label,
        "recipe": config.recipe,
        "data": config.data.address,
        "data.sha256": data_digest(table),
        "data.start": start,
        "data.end": end,
        "data.series": str(len(table)),
        "data.values": str(int(table.observed.sum())),
        "data.frequency": table.frequency.alias,
        "git.commit": _git_commit(),
        "mlflow.user": os.environ.get("USER", ""),
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


def log_result(
    client: "MlflowClient",
    run_id: str,
    config: TrainConfig,
    forecaster: Forecaster,
    leaderboard: Scores,
    result: Backtest,
) -> None:
    """How good the model is, next to the best naive baseline, and the settings that the data decided.

    The artifact `backtest/windows.parquet` holds everyone's errors in each window: what a later model can be
    compared with on the same windows, though this one has then learnt from them.

    Args:
        client: MLflow's client.
        run_id: The run.
        config: Its settings, as they were asked for.
        forecaster: The trained model.
        leaderboard: Everyone's metrics on the windows it was judged on.
        result: The forecasts that it was judged by.
    """
    from mlflow.entities import Metric

    naive = best_baseline(leaderboard)
    now = int(time.time() * 1000)
    final = [
        Metric(f"{prefix}/{name}", value, now, 0)
        for prefix, row in (("backtest", THIS), ("baseline", naive))
        for name, value in leaderboard[row].items()
    ]
    client.log_batch(run_id, metrics=final)
    client.log_text(run_id, pd.DataFrame(leaderboard).T.to_csv(index_label="model"), LEADERBOARD)
    with tempfile.TemporaryDirectory() as folder:
        window_errors(result).to_parquet(Path(folder) / "windows.parquet")
        client.log_artifact(run_id, str(Path(folder) / "windows.parquet"), "backtest")
    mine, best_naive = leaderboard[THIS][METRIC], leaderboard[naive][METRIC]
    verdict = "better" if mine < best_naive else "not better"
    note = (
        f"**{forecaster.config.label}** for {config.name}, {forecaster.prediction_length} steps ahead: "
        f"MASE {mine:.3f}, {verdict} than {naive} ({best_naive:.3f}), over {len(result.series)} windows "
        f"of {config.data.address} kept from training."
    )
    if config.evaluation.refit:
        note += " The model logged here was then trained anew to the end of the series."
    client.set_tag(run_id, "mlflow.note.content", f"{note}\n\n{as_markdown(leaderboard)}\n")


def recorded(client: "MlflowClient", run_id: str, path: str = CONFIG) -> tuple[dict[str, str], TrainConfig]:
    """The tags of a training run, and its settings: complete, or those of another artifact.

    Raises:
        ParameterError: There is no such run, or it is none of `forecast train`.
        RegistryUnavailable: The tracking store does not answer.
    """
    with registry_errors(run=run_id), tempfile.TemporaryDirectory() as folder:
        tags = dict(client.get_run(run_id).data.tags)
        if not [one for one in client.list_artifacts(run_id) if one.path == path]:
            problem = Problem(f"run {run_id} holds no {path}", "name a run of `forecast train`", field="resume")
            raise ParameterError(problem)
        text = Path(client.download_artifacts(run_id, path, folder)).read_text(encoding="utf-8")
    return tags, TrainConfig.build(**as_tree(yaml.safe_load(text)))


def recorded_leaderboard(client: "MlflowClient", run_id: str) -> Scores:
    """The leaderboard that `log_result` wrote."""
    with registry_errors(), tempfile.TemporaryDirectory() as folder:
        frame = pd.read_csv(client.download_artifacts(run_id, LEADERBOARD, folder), index_col="model")
    return {str(name): {str(key): float(row[key]) for key in row.index} for name, row in frame.iterrows()}


def recorded_errors(client: "MlflowClient", run_id: str) -> pd.DataFrame:
    """Everyone's errors in each window, as `log_result` wrote them."""
    with registry_errors(), tempfile.TemporaryDirectory() as folder:
        return pd.read_parquet(client.download_artifacts(run_id, WINDOWS, folder))


def window_errors(result: Backtest) -> pd.DataFrame:
    """Everyone's errors in each window: `model, horizon` and the columns of `Backtest.per_window`."""
    horizon = result.actual.shape[1]
    frames = [result.per_window(model).assign(model=model, horizon=horizon) for model in result.forecasts]
    return pd.concat(frames, ignore_index=True)


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
