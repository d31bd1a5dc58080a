"""The training pipeline: train, judge against naive and the champion, look inside, log, verify."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.markup import escape

from forecast import Forecaster, ForecasterConfig
from forecast.auto import resolve, validation_windows
from forecast.backtest import Backtest
from forecast.errors import ModelDamaged, ParameterError, Problem, RegistryUnavailable
from forecast.inspection import GradientRecorder
from forecast.table import SeriesTable
from pipelines.contender import Contender, champion_version, find_contender, log_knowledge
from pipelines.data.read import read_data
from pipelines.evaluation import THIS, Scores, scores
from pipelines.gate import Evidence, judge, weigh
from pipelines.inspection import Seen, in_words, look
from pipelines.pictures import typical_series
from pipelines.progress import TrainingProgress
from pipelines.record import (
    Outcome,
    RunMetrics,
    complete,
    data_digest,
    describe,
    log_datasets,
    log_result,
    recorded,
    recorded_errors,
    recorded_leaderboard,
)
from pipelines.registry import load, log_model, verify
from pipelines.runs import checkpoint_folder, end_abandoned, held, patiently
from pipelines.settings import TrainConfig
from pipelines.tracking import connect, experiment_id, registry_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL_TAG = "model.uri"  # set once a run's model is logged and verified
START_TAG = "started.from"  # the version whose weights a training started from


@dataclass(frozen=True)
class TrainedRun:
    """A finished training run, its model logged and verified but not yet registered.

    Attributes:
        run_id: The run.
        model_uri: The logged model.
        forecaster: The trained model.
        leaderboard: The metrics of it ("this model"), the naive baselines and the champion (where one is
            live, and had learnt from none of them) on the same windows, the best first.
        evidence: What the gate decides by.
        findings: What is wrong inside the judged model, in words; empty where nobody looked.
    """

    run_id: str
    model_uri: str
    forecaster: Forecaster
    leaderboard: Scores
    evidence: Evidence
    findings: tuple[str, ...] = ()


def train(
    config: TrainConfig, table: SeriesTable, console: Console, start: Contender | None = None, run_id: str | None = None
) -> TrainedRun:
    """Train and judge one model as one run of the experiment `config.name`.

    The last windows of each series are kept from training and judged on; the model is then trained anew to
    the end of the series, unless `config.evaluation.refit` is off. The run ends FINISHED, FAILED or, when
    interrupted, KILLED; what it learnt until then stays in the store's folder, for `resume`.

    Args:
        config: The settings.
        table: The series, as `config.data` names them.
        console: Where progress is shown.
        start: The version whose judged model's weights are the first ones.
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
    asked, config = config, config.model_copy(update={"forecaster": resolve(config.forecaster, history)})
    client = connect()
    end_abandoned(client)
    begun = run_id is not None
    run_id = run_id or _create_run(client, config, start)
    checkpoints = checkpoint_folder(run_id)
    kind, networks = config.forecaster.label, len(config.forecaster.networks)
    try:
        with held(client, run_id):
            with registry_errors():
                if begun:
                    client.update_run(run_id, "RUNNING")
                else:
                    describe(client, run_id, config, table, asked)
                log_datasets(client, run_id, config.data, training=history, evaluation=table)
            forecaster = Forecaster.from_config(_with_time_for_both(config))
            gradients = _recorder(config)
            with RunMetrics(client, run_id, console) as metrics:
                with TrainingProgress(console, f"training {kind}", networks) as progress:
                    watching = [progress, metrics.curves(networks), *gradients]
                    forecaster.fit(history, watching, checkpoints, start.judged if start else None)
                console.print(f"judging {kind} on the last {windows} windows of {horizon} steps")
                champion = patiently(lambda: _champion(client, config.name), console)
                result, evidence = judge(forecaster, champion, table, horizon, windows)
                judged, seen = forecaster, _look_inside(config, forecaster, history, result, gradients, console)
                if config.evaluation.refit:
                    with TrainingProgress(console, f"training {kind} anew on everything", networks) as progress:
                        watching = [progress, metrics.curves(networks, "refit")]
                        forecaster = forecaster.refit(table, windows, watching, checkpoints)
            leaderboard = scores(result)
            outcome = Outcome(judged, leaderboard, result, seen)
            console.print(f"logging {kind} and checking its golden forecast in a fresh process")
            model_uri = patiently(lambda: log_model(forecaster, run_id), console)
            patiently(lambda: log_result(client, run_id, config, model_uri, outcome), console)
            if begun:
                patiently(lambda: complete(client, run_id, judged.history, networks), console)
            learnt = table if config.evaluation.refit else None
            patiently(lambda: log_knowledge(client, run_id, judged, history, learnt, start), console)
            verify(model_uri)
            patiently(lambda: client.set_tag(run_id, MODEL_TAG, model_uri), console)
        findings = tuple(in_words(finding) for finding in seen.findings) if seen else ()
        return TrainedRun(run_id, model_uri, forecaster, leaderboard, evidence, findings)
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
        uri, leaderboard = tags[MODEL_TAG], recorded_leaderboard(client, run_id)
        evidence = weigh(recorded_errors(client, run_id), _champion(client, config.name))
        return config, TrainedRun(run_id, uri, load(uri).forecaster, leaderboard, evidence)
    console.print(f"reading {config.data.address}")
    table = read_data(config.data, config.forecaster.covariates)
    if data_digest(table) != tags["data.sha256"]:
        raise _not_resumed(f"the data at {config.data.address} are not those that run {run_id} was begun with")
    if not checkpoint_folder(run_id).exists():
        console.print(f"nothing that run {run_id} learnt is left in {checkpoint_folder(run_id)}: it begins anew")
    start = find_contender(client, *tags[START_TAG].split("/")) if START_TAG in tags else None
    return config, train(config, table, console, start, run_id)


def _recorder(config: TrainConfig) -> list[GradientRecorder]:
    """What watches the gradients while the model is trained, if anything."""
    level = config.evaluation.inspect
    return [] if level == "off" else [GradientRecorder(every=1) if level == "full" else GradientRecorder()]


def _look_inside(
    config: TrainConfig,
    forecaster: Forecaster,
    history: SeriesTable,
    result: Backtest,
    gradients: Sequence[GradientRecorder],
    console: Console,
) -> Seen | None:
    """Look inside the judged model; the forecast that is explained is that of a typical series."""
    if config.evaluation.inspect == "off":
        return None
    console.print(f"looking inside {config.forecaster.label}")
    typical = result.table.item_ids[typical_series(result, THIS)]
    series = int(np.flatnonzero(history.item_ids == typical)[0])
    trainings = [training for recorder in gradients for training in recorder.trainings]
    try:
        return look(forecaster, history, series, trainings, full=config.evaluation.inspect == "full")
    except Exception as error:  # a night's training is worth more than what is said of it
        console.print(f"[yellow]note:[/] the model could not be looked into: {escape(str(error))}")
        return None


def _champion(client: "MlflowClient", name: str) -> Contender | None:
    live = champion_version(client, name)
    return find_contender(client, name, live) if live else None


def _create_run(client: "MlflowClient", config: TrainConfig, start: Contender | None) -> str:
    forecaster, tracking = config.forecaster, config.tracking
    name = f"{forecaster.label} h{forecaster.prediction_length} seed{forecaster.training.seed}"
    with registry_errors():
        experiment = experiment_id(client, tracking.experiment or config.name)
        tags = {START_TAG: f"{start.name}/{start.version}"} if start else {}
        return str(client.create_run(experiment, run_name=tracking.run_name or name, tags=tags).info.run_id)


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
