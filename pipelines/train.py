"""The training pipeline: train, judge against naive, log, verify, register, and put live if it is better."""

from dataclasses import dataclass

from rich.console import Console

from forecast import Forecaster, ForecasterConfig
from forecast.auto import validation_windows
from forecast.reference import CHAMPION
from forecast.table import SeriesTable
from pipelines.evaluation import CHAMPION_ROW, METRIC, THIS, Scores, best_baseline, comparable, evaluate, scores
from pipelines.progress import TrainingProgress
from pipelines.record import RunMetrics, describe, log_result
from pipelines.registry import champion, log_model, register, verify
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


def train(config: TrainConfig, table: SeriesTable, console: Console) -> TrainedRun:
    """Train and judge one model as one run of the experiment `config.name`.

    The last windows of each series are kept from training and judged on; the model is then trained anew to
    the end of the series, unless `config.evaluation.refit` is off. The run ends FINISHED, FAILED or, when
    interrupted, KILLED.

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
            forecaster.fit(history, callbacks=[progress, RunMetrics(client, run_id, networks)])
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
                forecaster = forecaster.refit(table, windows, callbacks=[progress, metrics])
        console.print(f"logging {kind} and checking its golden forecast in a fresh process")
        with registry_errors():
            log_result(client, run_id, config, forecaster, leaderboard, result)
            with mlflow.start_run(run_id=run_id):
                model_uri = log_model(forecaster)
        verify(model_uri)
        status = "FINISHED"
        return TrainedRun(run_id, model_uri, forecaster, leaderboard)
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
