"""The backtest pipeline: saved models, a recipe and baselines on the same windows, as files and as runs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from forecast import AutoETS, AutoTheta, Forecaster
from forecast.backtest import Backtest, Fit, backtest
from forecast.comparison import Comparison, compare
from forecast.config import CovariatesConfig, ForecasterConfig
from forecast.errors import ParameterError, Problem
from forecast.predictor import Predictor
from forecast.table import SeriesTable
from pipelines.backtest_report import Judgement, Windows, table_rows, write
from pipelines.contender import Known, find_contender, unseen
from pipelines.evaluation import METRIC, scores
from pipelines.evaluation import baselines as naive_forecasts
from pipelines.folder import check_output
from pipelines.progress import TrainingProgress
from pipelines.record import log_datasets
from pipelines.record.note import NOTE
from pipelines.registry import LoadedModel, load
from pipelines.settings import DataConfig
from pipelines.tracking import connect, experiment_id, registry_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

STATISTICAL = {"auto_ets": AutoETS, "auto_theta": AutoTheta}
BASELINES = ("naive", "seasonal_naive", *STATISTICAL)


def load_models(references: Sequence[str]) -> dict[str, LoadedModel]:
    """Saved models by the names that they get in a backtest: `NAME/VERSION`, or what was asked for.

    Raises:
        ForecastError: One of them cannot be loaded.
    """
    loaded = {reference: load(reference) for reference in references}
    return {f"{one.name}/{one.version}" if one.version else asked: one for asked, one in loaded.items()}


def covariates_of(configs: Sequence[ForecasterConfig]) -> CovariatesConfig:
    """The columns to read for all of them.

    Raises:
        ParameterError: A column is of one kind for one and of another for the next.
    """
    names = {
        kind: tuple(dict.fromkeys(name for one in configs for name in getattr(one.covariates, kind)))
        for kind in ("known", "past", "static")
    }
    return CovariatesConfig.build(**names)


def read_baselines(text: str) -> list[str]:
    """Names of baselines separated by commas.

    Raises:
        ParameterError: There is no baseline of such a name.
    """
    names = [part.strip() for part in text.split(",") if part.strip()]
    for name in names:
        if name not in BASELINES:
            hint = f"take some of {', '.join(BASELINES)}"
            raise ParameterError(Problem(f"there is no baseline {name!r}", hint, field="baselines"))
    return names


def build_baselines(names: Sequence[str], table: SeriesTable, horizon: int) -> dict[str, Predictor]:
    """Baselines by name; `seasonal_naive` is one for each season that the series hold twice.

    Raises:
        ParameterError: statsforecast is not installed.
    """
    wanted = {name.replace("_", " ") for name in names}
    naive = {
        name: model for name, model in naive_forecasts(table, horizon).items() if name.rstrip(" 0123456789") in wanted
    }
    season = table.frequency.short_season
    return {**naive, **{name: STATISTICAL[name](season, horizon) for name in names if name in STATISTICAL}}


def judge(
    experiment: str,
    models: Mapping[str, LoadedModel],
    recipes: Mapping[str, ForecasterConfig],
    baselines: Mapping[str, Predictor],
    table: SeriesTable,
    windows: Windows,
    source: str,
    output: Path,
    console: Console,
) -> Judgement:
    """Judge everyone on the same windows; write files, and a run with a nested one for each.

    Args:
        experiment: The experiment's name.
        models: Saved models, used as they are.
        recipes: Settings, trained on what lies before the first window or, with `refit`, before each.
        baselines: Baselines.
        table: The series.
        windows: Which windows.
        source: Where the series came from, for the reader.
        output: The folder to write; it appears whole or not at all.
        console: Where progress is shown.

    Raises:
        DataError: The series cannot be used, or are too short.
        ParameterError: The output exists, or there is nobody to judge.
        RegistryUnavailable: The tracking store does not answer.
    """
    everyone: dict[str, Predictor | Fit] = {name: one.forecaster for name, one in models.items()}
    everyone |= {name: _training(name, config, windows, console) for name, config in recipes.items()}
    everyone |= baselines
    if not everyone:
        raise ParameterError(Problem("there is nobody to judge", "name a --model, a --recipe or --baselines"))
    check_output(output)
    client = connect()
    known = {name: _known(client, one) for name, one in models.items()}
    with _run(client, experiment, f"backtest h{windows.horizon} x{windows.number}", {"pipeline": "backtest"}) as run_id:
        console.print(f"judging {', '.join(everyone)} on {windows.number} windows of {windows.horizon} steps")
        result = backtest(
            everyone,
            table,
            prediction_length=windows.horizon,
            windows=windows.number,
            step=windows.step,
            refit=windows.refit,
        )
        leaderboard = scores(result)
        notes = [note for name, until in known.items() if (note := _note(name, until, result))]
        best = next((name for name in leaderboard if name in baselines), None)
        savings = compare_with_best(result, best, windows)
        judgement = Judgement(result, leaderboard, best, savings, notes, run_id)
        write(judgement, windows, source, output)
        with registry_errors():
            _log(client, experiment, judgement, windows, source, output, {**models}, recipes)
    return judgement


def compare_with_best(result: Backtest, baseline: str | None, windows: Windows) -> dict[str, Comparison]:
    """Everyone next to the best baseline, where there is one."""
    if baseline is None:
        return {}
    errors = {name: result.per_window(name)[METRIC].to_numpy() for name in result.forecasts}
    overlap = ceil(windows.horizon / windows.step)
    return {
        name: compare(errors[baseline], error, result.series, result.origins, overlap) for name, error in errors.items()
    }


def _training(name: str, config: ForecasterConfig, windows: Windows, console: Console) -> Fit:
    """What trains a recipe, showing how far it is."""
    times = f" (of {windows.number})" if windows.refit and windows.number > 1 else ""

    def fit(history: SeriesTable) -> Predictor:
        with TrainingProgress(console, f"training {name}{times}", len(config.networks)) as progress:
            return Forecaster.from_config(config).fit(history, callbacks=[progress])

    return fit


def _known(client: "MlflowClient", model: LoadedModel) -> Known | None:
    """Until when a saved model knows each series; None where that is not recorded."""
    if model.name is None or model.version is None:
        return None
    known = find_contender(client, model.name, model.version).known
    return None if known is None else known["registered"]


def _note(name: str, known: Known | None, result: Backtest) -> str:
    if known is None:
        return (
            f"it is not recorded what {name} has learnt from; where it has seen these windows it is judged too kindly"
        )
    seen, number = int((~unseen(result, known)).sum()), len(result.series)
    return f"{name} has learnt from {seen} of the {number} windows and is judged too kindly" if seen else ""


def _log(
    client: "MlflowClient",
    experiment: str,
    judgement: Judgement,
    windows: Windows,
    source: str,
    output: Path,
    models: Mapping[str, LoadedModel],
    recipes: Mapping[str, ForecasterConfig],
) -> None:
    """The run of the whole, and a nested one for each model."""
    from mlflow.entities import Metric, Param, RunTag

    result = judgement.result
    settings = {"data.path": source, **vars(windows), "series": len(np.unique(result.series))}
    best = next(iter(judgement.leaderboard))
    client.log_batch(
        judgement.run_id,
        params=[Param(key, str(value)) for key, value in settings.items()],
        tags=[RunTag("best", best), RunTag("data", source)],
    )
    log_datasets(client, judgement.run_id, DataConfig(path=source), evaluation=result.table)
    client.log_artifacts(judgement.run_id, str(output))
    client.set_tag(judgement.run_id, NOTE, (output / "report.md").read_text(encoding="utf-8"))
    for name, row in table_rows(judgement).items():
        tags = {"pipeline": "backtest", "model": name, "mlflow.parentRunId": judgement.run_id}
        if name in models:
            tags["network"] = models[name].forecaster.config.label
        elif name in recipes:
            tags["network"] = recipes[name].label
        with _run(client, experiment, name, tags) as run_id:
            final = [Metric(f"backtest/{key}", value, 0, 0) for key, value in row.items()]
            ahead = result.per_lead_time(name)[METRIC]
            by_step = [Metric(f"lead_time/{METRIC}", error, 0, step) for step, error in enumerate(ahead.tolist(), 1)]
            logged = [metric for metric in (*final, *by_step) if np.isfinite(metric.value)]
            for begin in range(0, len(logged), 1000):
                client.log_batch(run_id, metrics=logged[begin : begin + 1000])


@contextmanager
def _run(client: "MlflowClient", experiment: str, name: str, tags: dict[str, str]) -> Iterator[str]:
    """A run that ends FINISHED, FAILED or, when interrupted, KILLED."""
    with registry_errors():
        run = client.create_run(experiment_id(client, experiment), run_name=name, tags=tags)
    status = "FAILED"
    try:
        yield str(run.info.run_id)
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        with registry_errors():
            client.set_terminated(run.info.run_id, status)
