"""The training pipeline: train, judge against naive and the champion, log, verify."""

from dataclasses import dataclass

from rich.console import Console

from forecast import Forecaster, ForecasterConfig
from forecast.auto import validation_windows
from forecast.table import SeriesTable
from pipelines.contender import Contender, champion_version, find_contender, log_knowledge
from pipelines.evaluation import Scores, scores
from pipelines.gate import Evidence, judge
from pipelines.progress import TrainingProgress
from pipelines.record import RunMetrics, describe, log_result
from pipelines.registry import log_model, verify
from pipelines.settings import TrainConfig
from pipelines.tracking import connect, experiment_id, registry_errors


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
    """

    run_id: str
    model_uri: str
    forecaster: Forecaster
    leaderboard: Scores
    evidence: Evidence


def train(config: TrainConfig, table: SeriesTable, console: Console, start: Contender | None = None) -> TrainedRun:
    """Train and judge one model as one run of the experiment `config.name`.

    The last windows of each series are kept from training and judged on; the model is then trained anew to
    the end of the series, unless `config.evaluation.refit` is off. The run ends FINISHED, FAILED or, when
    interrupted, KILLED.

    Args:
        config: The settings.
        table: The series, as `config.data` names them.
        console: Where progress is shown.
        start: The version whose judged model's weights are the first ones.

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

    kind, networks = config.forecaster.label, len(config.forecaster.networks)
    with registry_errors():
        experiment = experiment_id(client, config.name)
        seed = config.forecaster.training.seed
        run = client.create_run(experiment, run_name=f"{kind} h{horizon} seed{seed}")
    run_id = str(run.info.run_id)
    status = "FAILED"
    try:
        forecaster = Forecaster.from_config(_with_time_for_both(config))
        with registry_errors():
            describe(client, run_id, config, table)
        with TrainingProgress(console, f"training {kind}", networks) as progress:
            metrics = RunMetrics(client, run_id, networks)
            forecaster.fit(history, callbacks=[progress, metrics], start=start.judged if start else None)
        console.print(f"judging {kind} on the last {windows} windows of {horizon} steps")
        live = champion_version(client, config.name)
        champion = find_contender(client, config.name, live) if live else None
        result, evidence = judge(forecaster, champion, table, horizon, windows)
        leaderboard = scores(result)
        judged = forecaster
        if config.evaluation.refit:
            with TrainingProgress(console, f"training {kind} anew on everything", networks) as progress:
                metrics = RunMetrics(client, run_id, networks, "refit")
                forecaster = forecaster.refit(table, windows, callbacks=[progress, metrics])
        console.print(f"logging {kind} and checking its golden forecast in a fresh process")
        with registry_errors():
            log_result(client, run_id, config, forecaster, leaderboard, result)
            log_knowledge(client, run_id, judged, history, table if config.evaluation.refit else None, start)
            with mlflow.start_run(run_id=run_id):
                model_uri = log_model(forecaster)
        verify(model_uri)
        status = "FINISHED"
        return TrainedRun(run_id, model_uri, forecaster, leaderboard, evidence)
    except KeyboardInterrupt:
        status = "KILLED"
        console.print(f"interrupted: run {run_id} ends as KILLED, and nothing is registered")
        raise
    finally:
        with registry_errors():
            client.set_terminated(run_id, status)


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
