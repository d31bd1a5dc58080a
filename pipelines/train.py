"""The training pipeline: train, judge against naive, log, verify, register, and put live if it is better."""

import getpass
import json
import platform
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from typing import TYPE_CHECKING

import pandas as pd
from rich.console import Console

from forecast import Forecaster
from forecast.auto import validation_windows
from forecast.backtest import Backtest
from forecast.reference import CHAMPION
from forecast.table import SeriesTable
from pipelines.evaluation import METRIC, Scores, as_markdown, best_baseline, comparable, evaluate, scores
from pipelines.progress import RunMetrics, TrainingProgress
from pipelines.registry import champion, log_model, register, verify
from pipelines.settings import TrainConfig, flatten
from pipelines.tracking import connect, experiment_id, registry_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

THIS, CHAMPION_ROW = "this model", "champion"
PACKAGES = ("forecast-inside", "torch", "pytorch-lightning", "numpy", "pandas", "mlflow")


@dataclass(frozen=True)
class TrainedRun:
    """A finished training run, its model logged and verified but not yet registered.

    Attributes:
        run_id: The run.
        model_uri: The logged model.
        forecaster: The trained model.
        backtest: It, the naive baselines and the champion (where one is live) on the same windows.
    """

    run_id: str
    model_uri: str
    forecaster: Forecaster
    backtest: Backtest

    @property
    def leaderboard(self) -> Scores:
        """Everyone's metrics, the best first."""
        return scores(self.backtest)


@dataclass(frozen=True)
class Registration:
    """What became of a trained model.

    Attributes:
        version: Its version in the registry.
        promoted: Whether it is the champion now.
        reason: Why, or why not, as one sentence.
    """

    version: str
    promoted: bool
    reason: str


def train(config: TrainConfig, table: SeriesTable, console: Console) -> TrainedRun:
    """Train and judge one model as one run of the experiment `config.name`.

    The last windows of each series are kept from training and judged on. The run ends FINISHED, FAILED or,
    when interrupted, KILLED.

    Args:
        config: The settings.
        table: The series, as `config.data` names them.
        console: Where progress is shown.

    Raises:
        DataError: The series cannot be learnt from.
        ParameterError: The settings do not fit the data.
        TrainingError: The loss stopped being a number.
        ModelDamaged: The logged model does not answer as the trained one.
        RegistryUnavailable: The tracking store does not answer.
    """
    horizon = config.forecaster.prediction_length
    windows = config.evaluation.windows or validation_windows(config.forecaster, table)
    history = table.drop_last(windows * horizon)
    client = connect()
    import mlflow

    kind = config.forecaster.network.kind
    with registry_errors():
        experiment = experiment_id(client, config.name)
        run = client.create_run(experiment, run_name=f"{kind} h{horizon} seed{config.forecaster.training.seed}")
    run_id = str(run.info.run_id)
    status = "FAILED"
    try:
        forecaster = Forecaster.from_config(config.forecaster)
        with registry_errors():
            _describe(client, run_id, config, table)
        with TrainingProgress(console, f"training {kind}") as progress:
            forecaster.fit(history, callbacks=[progress, RunMetrics(client, run_id)])
        console.print(f"judging {kind} on the last {windows} windows of {horizon} steps")
        models = {THIS: forecaster}
        live = champion(config.name)
        if live is not None and comparable(live.forecaster, table, horizon):
            models[CHAMPION_ROW] = live.forecaster
        result = evaluate(models, table, horizon, windows)
        console.print(f"logging {kind} and checking its golden forecast in a fresh process")
        with registry_errors():
            _log_result(client, run_id, config, forecaster, result)
            with mlflow.start_run(run_id=run_id):
                model_uri = log_model(forecaster)
        verify(model_uri)
        status = "FINISHED"
        return TrainedRun(run_id, model_uri, forecaster, result)
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        client.set_terminated(run_id, status)


def publish(name: str, run: TrainedRun) -> Registration:
    """Register a trained model, and make it the champion if it is better than what there is.

    The first champion must beat every naive baseline; a later one the champion as well, on the same windows.

    Raises:
        RegistryUnavailable: The registry does not answer.
    """
    client = connect()
    leaderboard = run.leaderboard
    naive = best_baseline(leaderboard)
    mine, best_naive = leaderboard[THIS][METRIC], leaderboard[naive][METRIC]
    if not mine < best_naive:
        promoted, reason = False, f"its MASE {mine:.3f} does not beat {naive}'s {best_naive:.3f}"
    elif CHAMPION_ROW in leaderboard:
        live = leaderboard[CHAMPION_ROW][METRIC]
        promoted = mine < live
        reason = f"its MASE {mine:.3f} {'beats' if promoted else 'does not beat'} the champion's {live:.3f}"
    else:
        promoted, reason = True, f"its MASE {mine:.3f} beats {naive}'s {best_naive:.3f}"
    tags = {"mase": f"{mine:.4f}", "baseline": naive, "baseline_mase": f"{best_naive:.4f}", "gate": reason}
    number = register(name, run.model_uri, tags)
    with registry_errors():
        if promoted:
            client.set_registered_model_alias(name, CHAMPION, number)
        client.set_tag(run.run_id, "registered", f"{name}/{number}" + (f"@{CHAMPION}" if promoted else ""))
    return Registration(number, promoted, reason)


def data_digest(table: SeriesTable) -> str:
    """SHA-256 over everything the table holds."""
    digest = sha256(repr((table.frequency.alias, str(table.tz), list(table.item_ids))).encode())
    for series in range(0, len(table), 1024):
        part = slice(series, series + 1024)
        for array in (table.offsets[part], table.lengths[part], table.starts[part]):
            digest.update(array.tobytes())
    digest.update(table.values.tobytes())
    digest.update(table.observed.tobytes())
    return digest.hexdigest()


def time_span(table: SeriesTable) -> tuple[str, str]:
    """The first and the last time in the table."""
    first = table.timestamps(table.times((table.lengths * 0)[:, None])).min()
    last = table.timestamps(table.times((table.lengths - 1)[:, None])).max()
    return str(first), str(last)


def _describe(client: "MlflowClient", run_id: str, config: TrainConfig, table: SeriesTable) -> None:
    """What a run was made from: settings, data, code and packages."""
    from mlflow.entities import Param, RunTag

    start, end = time_span(table)
    tags = {
        "network": config.forecaster.network.kind,
        "data": config.data.path,
        "data.sha256": data_digest(table),
        "data.start": start,
        "data.end": end,
        "data.series": str(len(table)),
        "data.values": str(int(table.observed.sum())),
        "data.frequency": table.frequency.alias,
        "git.commit": _git_commit(),
        "mlflow.user": getpass.getuser(),
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


def _log_result(
    client: "MlflowClient", run_id: str, config: TrainConfig, forecaster: Forecaster, result: Backtest
) -> None:
    """How good the model is, next to the best naive baseline, and the settings that the data decided."""
    from mlflow.entities import Metric

    leaderboard = scores(result)
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
    windows, horizon = result.actual.shape
    mine, best_naive = leaderboard[THIS][METRIC], leaderboard[naive][METRIC]
    verdict = "better" if mine < best_naive else "not better"
    note = (
        f"**{forecaster.config.network.kind}** for {config.name}, {horizon} steps ahead: MASE {mine:.3f}, "
        f"{verdict} than {naive} ({best_naive:.3f}), over {windows} windows of {config.data.path} kept from training."
    )
    client.set_tag(run_id, "mlflow.note.content", f"{note}\n\n{as_markdown(leaderboard)}\n")


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
