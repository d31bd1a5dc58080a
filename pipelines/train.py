"""The training pipeline: train, judge against naive, log, verify, register, and put live if it is better."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from forecast import Forecaster, ForecasterConfig
from forecast.auto import resolve, validation_windows
from forecast.errors import ModelDamaged, ParameterError, Problem, RegistryUnavailable
from forecast.reference import CHAMPION
from forecast.table import SeriesTable
from pipelines.data import read_data
from pipelines.evaluation import CHAMPION_ROW, METRIC, THIS, Scores, best_baseline, comparable, evaluate, scores
from pipelines.progress import TrainingProgress
from pipelines.record import RunMetrics, data_digest, describe, log_result, recorded, recorded_leaderboard
from pipelines.registry import champion, load, log_model, register, verify
from pipelines.runs import end_abandoned, held, patiently
from pipelines.settings import TrainConfig
from pipelines.tracking import connect, embedded_folder, experiment_id, registry_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL_TAG = "model.uri"  # set once a run's model is logged and verified


@dataclass(frozen=True)
class TrainedRun:
    """A finished training run, its model logged and verified but not yet registered.

    Attributes:
        run_id: The run.
        model_uri: The logged model.
        forecaster: The trained model.
        leaderboard: The metrics of it ("this model"), the naive baselines and the champion (where one is
            live) on the same windows, the best first.
    """

    run_id: str
    model_uri: str
    forecaster: Forecaster
    leaderboard: Scores


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


def train(config: TrainConfig, table: SeriesTable, console: Console, run_id: str | None = None) -> TrainedRun:
    """Train and judge one model as one run of the experiment `config.name`.

    The last windows of each series are kept from training and judged on; the model is then trained anew to
    the end of the series, unless `config.evaluation.refit` is off. The run ends FINISHED, FAILED or, when
    interrupted, KILLED; what it learnt until then stays in the store's folder, for `resume`.

    Args:
        config: The settings.
        table: The series, as `config.data` names them.
        console: Where progress is shown.
        run_id: A run to go on with; by default a new one.

    Raises:
        DataError: The series cannot be learnt from.
        ParameterError: The settings do not fit the data, or another process works on the run.
        TrainingError: The loss stopped being a number.
        ModelDamaged: The logged model does not answer as the trained one.
        RegistryUnavailable: The tracking store does not answer.
        DiskFull: There was no room left.
    """
    horizon = config.forecaster.prediction_length
    windows = config.evaluation.windows or validation_windows(config.forecaster, table)
    history = table.drop_last(windows * horizon)
    config = config.model_copy(update={"forecaster": resolve(config.forecaster, history)})
    client = connect()
    end_abandoned(client)
    begun = run_id is not None
    run_id = run_id or _create_run(client, config)
    checkpoints = checkpoint_folder(run_id)
    kind, networks = config.forecaster.label, len(config.forecaster.networks)
    try:
        with held(client, run_id):
            with registry_errors():
                if begun:
                    client.update_run(run_id, "RUNNING")
                else:
                    describe(client, run_id, config, table)
            forecaster = Forecaster.from_config(_with_time_for_both(config))
            with TrainingProgress(console, f"training {kind}", networks) as progress:
                forecaster.fit(history, [progress, RunMetrics(client, run_id, networks)], checkpoints)
            console.print(f"judging {kind} on the last {windows} windows of {horizon} steps")
            models = {THIS: forecaster}
            live = champion(config.name)
            if live is not None and comparable(live.forecaster, table, horizon):
                models[CHAMPION_ROW] = live.forecaster
            result = evaluate(models, table, horizon, windows)
            leaderboard = scores(result)
            if config.evaluation.refit:
                with TrainingProgress(console, f"training {kind} anew on everything", networks) as progress:
                    metrics = RunMetrics(client, run_id, networks, "refit")
                    forecaster = forecaster.refit(table, windows, [progress, metrics], checkpoints)
            console.print(f"logging {kind} and checking its golden forecast in a fresh process")
            patiently(lambda: log_result(client, run_id, config, forecaster, leaderboard, len(result.series)), console)
            model_uri = patiently(lambda: log_model(forecaster, run_id), console)
            verify(model_uri)
            patiently(lambda: client.set_tag(run_id, MODEL_TAG, model_uri), console)
        return TrainedRun(run_id, model_uri, forecaster, leaderboard)
    except KeyboardInterrupt:
        console.print(f"interrupted: run {run_id} ends as KILLED, and nothing is registered")
        console.print(f"what it learnt is kept; go on with: forecast train --resume {run_id}")
        raise
    except (RegistryUnavailable, ModelDamaged):
        console.print(f"what run {run_id} learnt is kept; go on with: forecast train --resume {run_id}")
        raise


def resume(run_id: str, console: Console) -> tuple[TrainConfig, TrainedRun]:
    """Go on with a run that was cut off: it ends with the same weights as if it had not been.

    Raises:
        ParameterError: There is no such run, it needs nothing more, or its data have changed since.
        ForecastError: As in `train`.
    """
    client = connect()
    end_abandoned(client)
    tags, config = recorded(client, run_id)
    if "registered" in tags:
        raise _not_resumed(f"run {run_id} is done: it is registered as {tags['registered']}")
    if MODEL_TAG in tags:
        uri = tags[MODEL_TAG]
        return config, TrainedRun(run_id, uri, load(uri).forecaster, recorded_leaderboard(client, run_id))
    console.print(f"reading {config.data.path}")
    table = read_data(config.data, config.forecaster.covariates)
    if data_digest(table) != tags["data.sha256"]:
        raise _not_resumed(f"the data at {config.data.path} are not those that run {run_id} was begun with")
    if not checkpoint_folder(run_id).exists():
        console.print(f"nothing that run {run_id} learnt is left in {checkpoint_folder(run_id)}: it begins anew")
    return config, train(config, table, console, run_id)


def checkpoint_folder(run_id: str) -> Path:
    """Where a run's training keeps its state until its model is registered."""
    return embedded_folder() / "checkpoints" / run_id


def _create_run(client: "MlflowClient", config: TrainConfig) -> str:
    forecaster, tracking = config.forecaster, config.tracking
    name = f"{forecaster.label} h{forecaster.prediction_length} seed{forecaster.training.seed}"
    with registry_errors():
        experiment = experiment_id(client, tracking.experiment or config.name)
        return str(client.create_run(experiment, run_name=tracking.run_name or name).info.run_id)


def _not_resumed(detail: str) -> ParameterError:
    return ParameterError(Problem(detail, "train anew, without --resume", field="resume"))


def _with_time_for_both(config: TrainConfig) -> ForecasterConfig:
    """The forecaster's settings, with half of the time for each of two trainings."""
    minutes = config.forecaster.training.max_minutes
    if not (config.evaluation.refit and minutes):
        return config.forecaster
    halves = {"max_minutes": minutes / 2}
    members = tuple(
        member.model_copy(update={"training": member.training.model_copy(update=halves)})
        for member in config.forecaster.members
    )
    training = config.forecaster.training.model_copy(update=halves)
    return config.forecaster.model_copy(update={"training": training, "members": members})


def publish(name: str, run: TrainedRun, console: Console) -> Registration:
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
    number = patiently(lambda: register(name, run.model_uri, tags), console)
    if promoted:
        patiently(lambda: client.set_registered_model_alias(name, CHAMPION, number), console)
    label = f"{name}/{number}" + (f"@{CHAMPION}" if promoted else "")
    patiently(lambda: client.set_tag(run.run_id, "registered", label), console)
    shutil.rmtree(checkpoint_folder(run.run_id), ignore_errors=True)
    return Registration(number, promoted, reason)
