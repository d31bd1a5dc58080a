"""What a search found: as a recipe, in words, and in pictures that open offline."""

from collections import Counter
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from forecast.errors import ParameterError, Problem
from pipelines.evaluation import markdown_table
from pipelines.pictures import Picture, write_page
from pipelines.pictures.style import styled
from pipelines.settings import TrainConfig, put
from pipelines.tune.space import LEFT_OPEN, Space
from pipelines.tune.study import State, best_trial, counts, first_trial, trial_state

if TYPE_CHECKING:
    from optuna import Study

MARK = "# Tuned for "  # what a recipe written here begins with
FEWEST_TO_COMPARE = 10  # judged trials that tell which settings matter: half of them are compared with all
METRICS = {"mase": "MASE", "rmsse": "RMSSE", "smape": "sMAPE", "wql": "WQL"}


@dataclass(frozen=True)
class Found:
    """What a search found so far.

    Attributes:
        number: The best trial.
        error: Its error.
        error_before: That of the settings the search started from; None where they were not judged.
        values: The best value of each setting searched; None is left to the data.
        changes: By setting, what the search started from and what it found, as texts.
        trials: How many ended how.
        reasons: Why trials failed, and how many for each reason.
    """

    number: int
    error: float
    error_before: float | None
    values: dict[str, Any]
    changes: dict[str, tuple[str, str]]
    trials: dict[State, int]
    reasons: dict[str, int]

    @property
    def comparison(self) -> str:
        """The error, next to that of the settings the search started from."""
        if self.error_before is None:
            return f"{self.error:.4f} (the settings it started from could not be judged)"
        if self.error == self.error_before:
            return f"{self.error:.4f}, nothing better than the settings it started from"
        share = 1 - self.error / self.error_before
        return f"{self.error:.4f} ({self.error_before:.4f} with the settings it started from, {share:.1%} less)"


def found(study: "Study", space: Space) -> Found | None:
    """What the trials of a study show; None while none is complete."""
    best, first = best_trial(study), first_trial(study)
    if best is None or best.value is None:
        return None
    start = space.start
    reasons = Counter(
        str(trial.user_attrs.get("reason", "")) for trial in study.trials if trial_state(trial) == "failed"
    )
    return Found(
        number=best.number,
        error=best.value,
        error_before=None if first is None else first.value,
        values=space.settings(best.params),
        changes={key: (_text(start[key]), _text(best.params[key])) for key in start},
        trials=counts(study),
        reasons=dict(reasons.most_common(3)),
    )


def best_recipe(settings: Mapping[str, Any], result: Found, windows: int, headline: str) -> str:
    """The settings that the search started from, with those it found, as a recipe for `forecast train`.

    Args:
        settings: The tree that `TrainConfig` is built from.
        result: What was found.
        windows: Windows at each series' end that the search never saw, for `train` to judge by.
        headline: The first line.
    """
    tree = with_values(settings, {**result.values, "evaluation.windows": windows})
    recipe = {**tree["forecaster"], "evaluation": tree["evaluation"]}
    if not recipe.get("members"):
        recipe.pop("members", None)
    return f"{headline}\n{yaml.safe_dump(recipe, sort_keys=False, default_flow_style=None, width=110)}"


def with_values(settings: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The tree that `TrainConfig` is built from, with some settings changed."""
    tree = deepcopy(dict(settings))
    for key, value in values.items():
        put(tree, key, value)
    return tree


def headline(config: TrainConfig, result: Found, metric: str) -> str:
    """The search in one line, which begins its recipe."""
    data = config.data.address
    number = sum(result.trials.values())
    return f"{MARK}{config.name} on {data}: {METRICS[metric]} {result.comparison}, trial {result.number} of {number}."


def note(config: TrainConfig, result: Found, metric: str, windows: int, report: str) -> str:
    """The search in Markdown."""
    steps = windows * config.forecaster.prediction_length
    ended = ", ".join(f"{number} {state}" for state, number in result.trials.items() if number)
    changes = [[key, before, "" if now == before else now] for key, (before, now) in result.changes.items()]
    lines = [
        f"**Search for {config.name}** ({config.forecaster.label}, {config.forecaster.prediction_length} steps ahead) "
        f"on {config.data.address}: trial {result.number:03d} is the best, "
        f"{METRICS[metric]} {result.comparison}.",
        "",
        f"Trials: {ended}. All were judged on the same {steps} steps of each series, and trained on what came before. "
        f"The {steps} steps after these, the last of the series, no trial has seen: `forecast train --recipe "
        "best.yaml` judges by them.",
        "",
        markdown_table(["setting", "started from", "found"], changes),
        "",
    ]
    lines += [f"The history of the search, and which settings matter: `{report}` among the artifacts.", ""]
    lines += [f"- {number} failed: {reason}" for reason, number in result.reasons.items()]
    return "\n".join(lines).rstrip() + "\n"


def write_report(path: Path, study: "Study", title: str, metric: str) -> None:
    """Pictures of the search as one page, which holds all that it needs to be shown."""
    pictures = list(_pictures(study, METRICS[metric]))
    for picture in pictures:
        styled(picture.figure).update_layout(title=None)
    write_page(path, title, pictures)


def write(path: Path, text: str) -> None:
    """Write a recipe, whole or not at all.

    Raises:
        ParameterError: It cannot be written there.
    """
    draft = path.with_name(f".{path.name}.draft")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        hint = "make room or name another --output; the same command goes on with the study"
        raise ParameterError(Problem(f"{str(path)!r} cannot be written: {error}", hint, field="output")) from None


def _pictures(study: "Study", metric: str) -> Iterator[Picture]:
    """Each view of the search that there are trials enough for."""
    from optuna import visualization
    from optuna.importance import PedAnovaImportanceEvaluator

    judged = [trial for trial in study.get_trials(deepcopy=False) if trial_state(trial) == "complete"]
    yield Picture(
        "History",
        f"The {metric} of each trial that was judged, and the best so far. Less is better.",
        visualization.plot_optimization_history(study, target_name=metric),
    )
    if len(judged) >= FEWEST_TO_COMPARE:
        yield Picture(
            "Which settings matter",
            "How much each setting has to do with being in the better half of the trials (PED-ANOVA, Watanabe 2023).",
            visualization.plot_param_importances(study, PedAnovaImportanceEvaluator(target_quantile=0.5)),
        )
    yield Picture(
        "Each setting",
        f"The {metric} against the value of each setting by itself; later trials are darker.",
        visualization.plot_slice(study, target_name=metric),
    )
    yield Picture(
        "All settings at once",
        "A line for each trial; drag along an axis to keep only the lines that pass there.",
        visualization.plot_parallel_coordinate(study, target_name=metric),
    )
    yield Picture(
        "On the way",
        "MASE while the trials trained, in tenths of the training; the lines that end early were given up. "
        "Of an ensemble, the networks follow each other.",
        visualization.plot_intermediate_values(study),
    )


def _text(value: Any) -> str:
    if value == LEFT_OPEN:
        return "left to the data"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
