"""What a run says about itself: what it was made from, and how good it is."""

import json
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
from pytorch_lightning.callbacks import Callback

from forecast import Forecaster
from forecast.backtest import Backtest
from forecast.table import SeriesTable
from forecast.training import epoch_metrics
from pipelines.evaluation import METRIC, THIS, Scores, as_markdown, best_baseline
from pipelines.settings import TrainConfig, flatten
from pipelines.tracking import registry_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

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


def describe(client: "MlflowClient", run_id: str, config: TrainConfig, table: SeriesTable) -> None:
    """What a run was made from: settings, data, code and packages."""
    from mlflow.entities import Param, RunTag

    start, end = time_span(table)
    tags = {
        "network": config.forecaster.label,
        "recipe": config.recipe,
        "data": config.data.path,
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
    }
    params = flatten(config.model_dump(mode="json"))
    client.log_batch(
        run_id,
        params=[Param(key, str(value)[:6000]) for key, value in params.items()],
        tags=[RunTag(key, value) for key, value in tags.items() if value],
    )
    client.log_text(run_id, json.dumps(config.model_dump(mode="json"), indent=1) + "\n", "config.json")


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
    resolved = config.model_copy(update={"forecaster": forecaster.config})
    client.log_text(run_id, json.dumps(resolved.model_dump(mode="json"), indent=1) + "\n", "resolved_config.json")
    client.log_text(run_id, pd.DataFrame(leaderboard).T.to_csv(index_label="model"), "leaderboard.csv")
    with tempfile.TemporaryDirectory() as folder:
        window_errors(result).to_parquet(Path(folder) / "windows.parquet")
        client.log_artifact(run_id, str(Path(folder) / "windows.parquet"), "backtest")
    mine, best_naive = leaderboard[THIS][METRIC], leaderboard[naive][METRIC]
    verdict = "better" if mine < best_naive else "not better"
    note = (
        f"**{forecaster.config.label}** for {config.name}, {forecaster.prediction_length} steps ahead: "
        f"MASE {mine:.3f}, {verdict} than {naive} ({best_naive:.3f}), over {len(result.series)} windows "
        f"of {config.data.path} kept from training."
    )
    if config.evaluation.refit:
        note += " The model logged here was then trained anew to the end of the series."
    client.set_tag(run_id, "mlflow.note.content", f"{note}\n\n{as_markdown(leaderboard)}\n")


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
