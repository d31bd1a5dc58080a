"""The tuning pipeline: settings searched by trials, judged on windows that `train` does not judge by.

Of each series the last windows are left out altogether: `train` judges by them afterwards. Trials are judged
on as many windows before those, and trained on what comes before both. The first trial has the settings that
the search starts from, so that it never ends with worse ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from rich.console import Console

from forecast.auto import resolve, validation_windows
from forecast.errors import ParameterError, Problem
from forecast.table import SeriesTable
from pipelines.record import data_digest
from pipelines.settings import TrainConfig, flatten
from pipelines.tracking import connect
from pipelines.tune.report import MARK, METRICS, Found, best_recipe, found, headline, note, write, write_report
from pipelines.tune.runs import Runs
from pipelines.tune.search import Effort, Search, told_to_stop
from pipelines.tune.space import Declared, Space, build_space
from pipelines.tune.study import open_study, study_errors
from pipelines.tune.trial import Bench

if TYPE_CHECKING:
    from optuna import Study

REPORT = "search.html"


@dataclass(frozen=True)
class Plan:
    """What is searched, and from where.

    Attributes:
        settings: The tree that `TrainConfig` is built from: where the search starts.
        space: What is searched.
        metric: What trials are compared by: mase, rmsse, smape or wql.
        output: Where the best settings are written as a recipe.
        anew: Whether to forget an earlier search of that name.
    """

    settings: dict[str, Any]
    space: Mapping[str, Declared]
    metric: str
    output: Path
    anew: bool = False


@dataclass(frozen=True)
class Tuned:
    """A search that came to its end, or was stopped.

    Attributes:
        found: What it found; None where it was stopped before any trial was judged.
        run_id: Its run.
        stopped_by: The signal that stopped it.
    """

    found: Found | None
    run_id: str
    stopped_by: Signals | None


def tune(plan: Plan, effort: Effort, table: SeriesTable, console: Console) -> Tuned:
    """Search for better settings, as a run of the experiment with a run below it for each trial.

    Ctrl-C or SIGTERM stops the search; what was found until then is kept and written all the same.

    Args:
        plan: What is searched.
        effort: How much.
        table: The series, as the settings name them.
        console: Where progress is shown.

    Raises:
        DataError: The series cannot be learnt from.
        ParameterError: A setting, the space or the output cannot be used, the study that is there is of something
            else, or no trial could be judged.
        RegistryUnavailable: The tracking store or the database of the studies does not answer.
    """
    config = TrainConfig.build(**plan.settings)
    _check(plan, config)
    horizon = config.forecaster.prediction_length
    windows = config.evaluation.windows or validation_windows(config.forecaster, table)
    history = table.drop_last(windows * horizon)
    space = build_space(plan.space, config.forecaster, resolve(config.forecaster, history.drop_last(windows * horizon)))
    client = connect()
    identity = _identity(plan, config, space, windows, table)
    with open_study(config.name, identity, config.forecaster.training.seed, plan.anew) as study, study_errors():
        runs = Runs(client, config, table, plan.space, study.user_attrs.get("run_id"))
        study.set_user_attr("run_id", runs.run_id)
        status = "FAILED"
        try:
            with told_to_stop() as told:
                bench = Bench(config.name, history, windows, plan.metric)
                Search(plan.settings, space, study, runs, bench, effort).run(told, console)
                result = found(study, space)
                if result is not None:
                    _publish(plan, config, windows, study, runs, result)
            if told:
                status = "KILLED"
            elif result is None:
                raise _nothing_found(study)
            else:
                status = "FINISHED"
        finally:
            runs.end(status)
    return Tuned(result, runs.run_id, told[0] if told else None)


def _check(plan: Plan, config: TrainConfig) -> None:
    """See before the search that its result can be written."""
    if plan.metric not in METRICS:
        hint = f"take one of {', '.join(METRICS)}"
        raise ParameterError(Problem(f"there is no metric {plan.metric!r} to search by", hint, field="metric"))
    output = plan.output
    if not output.absolute().parent.is_dir():
        raise ParameterError(Problem(f"there is no folder for {str(output)!r}", "make it first", field="output"))
    if output.suffix not in (".yaml", ".yml"):
        raise ParameterError(Problem(f"{str(output)!r} does not end in .yaml", "a recipe does", field="output"))
    if output.exists() and not output.read_text(encoding="utf-8", errors="replace").startswith(MARK):
        detail = f"{str(output)!r} is there already and was not written by a search"
        raise ParameterError(Problem(detail, "name another --output", field="output"))
    if output.absolute() == Path(config.recipe).absolute():
        detail = f"{str(output)!r} is the recipe that the search starts from"
        raise ParameterError(Problem(detail, "name another --output", field="output"))


def _identity(
    plan: Plan, config: TrainConfig, space: Space, windows: int, table: SeriesTable
) -> dict[str, dict[str, Any]]:
    """What must be the same for trials to be comparable."""
    settings = flatten(config.forecaster.model_dump(mode="json"))
    return {
        "data": {"digest": data_digest(table)},
        "settings": {**settings, "evaluation.windows": windows},
        "space": {one.key: str(one.distribution) for one in space.dimensions},
        "metric": {"name": plan.metric},
    }


def _publish(plan: Plan, config: TrainConfig, windows: int, study: "Study", runs: Runs, result: Found) -> None:
    """Write the best settings as a recipe, and complete the search's run."""
    recipe = best_recipe(plan.settings, result, windows, headline(config, result, plan.metric))
    write(plan.output, recipe)
    tags = {f"best.{key}": now for key, (_, now) in result.changes.items()}
    text = note(config, result, plan.metric, windows, REPORT)
    with TemporaryDirectory() as folder:
        page = Path(folder) / REPORT
        write_report(page, study, f"Search for {config.name}", plan.metric)
        runs.log_result({**tags, "best.trial": f"{result.number:03d}"}, text, recipe, page)


def _nothing_found(study: "Study") -> ParameterError:
    reasons = dict.fromkeys(str(trial.user_attrs.get("reason") or "the time was up") for trial in study.trials)
    detail = f"no trial could be judged: {'; '.join(reasons)}"
    hint = "give it more --max-minutes, lower training.learning_rate in the space, or see what `forecast train` says"
    return ParameterError(Problem(detail, hint))
