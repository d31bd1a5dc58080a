"""Retraining: new data came, so the champion's settings are trained again, from its weights or from scratch."""

from typing import Any

from rich.console import Console

from forecast.errors import ModelNotFound, ParameterError, Problem
from forecast.table import SeriesTable
from pipelines.contender import Contender, champion_version, find_contender, fresh_steps
from pipelines.record import ASKED, data_digest, recorded
from pipelines.settings import TrainConfig
from pipelines.tracking import connect, experiment_id, registry_errors
from pipelines.train import TrainedRun, train

FROM, HOW = "retrained.from", "retrained.how"


def find_champion(name: str) -> Contender:
    """The live version of a model.

    Raises:
        ModelNotFound: There is none.
        RegistryUnavailable: The registry does not answer.
    """
    client = connect()
    live = champion_version(client, name)
    if live is None:
        raise ModelNotFound(
            Problem(
                f"there is no champion of {name!r} to train again", f"train the first: forecast train --name {name}"
            )
        )
    return find_contender(client, name, live)


def settings(champion: Contender, data: dict[str, Any]) -> TrainConfig:
    """The settings that a champion was trained by, as they were asked for.

    Args:
        champion: The champion.
        data: What to change about its data: the `path`, and columns named otherwise.

    Raises:
        ParameterError: Its run does not hold them.
    """
    _, config = recorded(connect(), champion.run_id or "", ASKED)
    given = {key: value for key, value in data.items() if value is not None}
    return config.model_copy(update={"data": config.data.model_copy(update=given)})


def nothing_to_do(champion: Contender, table: SeriesTable, from_scratch: bool) -> str | None:
    """Why there is nothing to train: the champion has learnt from all of it, or this was tried before.

    Raises:
        RegistryUnavailable: The tracking store does not answer.
    """
    address = f"{champion.name}/{champion.version}"
    if champion.known is not None and not fresh_steps(table, champion.known["registered"]).any():
        return f"{address} has learnt from all of it"
    client = connect()
    wanted = {FROM: address, HOW: _how(from_scratch), "data.sha256": data_digest(table)}
    query = " and ".join(f"tags.`{key}` = '{value}'" for key, value in wanted.items())
    with registry_errors():
        experiment = experiment_id(client, champion.name)
        found = client.search_runs([experiment], f"{query} and attributes.status = 'FINISHED'", max_results=1)
    return f"run {found[0].info.run_id} has learnt from it, and did not go live" if found else None


def retrain(
    champion: Contender, config: TrainConfig, table: SeriesTable, console: Console, from_scratch: bool = False
) -> TrainedRun:
    """Train a champion's settings again, as a run of its experiment.

    It starts from the weights that the champion's run judged, which know nothing of that run's last windows:
    so this run's last windows are unknown to it as well, and it is judged as fairly as any.

    Args:
        champion: The champion.
        config: Its settings.
        table: The series, up to now.
        console: Where progress is shown.
        from_scratch: Whether to start from fresh weights; what settings leave open is then decided anew.

    Raises:
        ParameterError: The champion's run keeps no weights to start from.
        ForecastError: As in `train`.
    """
    start = None if from_scratch else champion
    if start is not None:
        if start.judged is None:
            address = f"{champion.name}/{champion.version}"
            problem = Problem(f"the run of {address} keeps no weights to start from", "train --from-scratch")
            raise ParameterError(problem)
        config = config.model_copy(update={"forecaster": start.judged.config})
    tags = {**config.tracking.tags, FROM: f"{champion.name}/{champion.version}", HOW: _how(from_scratch)}
    config = config.model_copy(update={"tracking": config.tracking.model_copy(update={"tags": tags})})
    return train(config, table, console, start)


def _how(from_scratch: bool) -> str:
    return "from scratch" if from_scratch else "from its weights"
