"""What is wrong with a network, in words: findings from stated thresholds (`thresholds.py`)."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pandas as pd

from forecast.inspection.judgement import Performance
from forecast.inspection.results import Floats, Result
from forecast.inspection.thresholds import THRESHOLDS

if TYPE_CHECKING:
    from forecast.inspection.whole import Inspection

Severity = Literal["serious", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("serious", "warning", "note")
TAUGHT = 0.01  # of the latest state's gradient: a state that gets less is not taught
FEWEST_JUDGED = 4  # windows: with fewer, chance decides


@dataclass(frozen=True)
class Finding(Result):
    """One thing that is wrong.

    Attributes:
        code: Short and stable, for programs; see `CODES`.
        severity: "serious" (not to be used as it is), "warning" (worth mending) or "note" (worth knowing).
        layer: Where: a layer's name, or "training", "context", "forecast".
        evidence: What was measured, with its number, in one sentence that a newcomer understands.
        advice: What to try.
        value: The number.
        threshold: From where on it is a fault.
        member: The network of an ensemble; "" for a single one or the whole.
    """

    CODES: ClassVar = (
        "vanishing-gradient",
        "exploding-gradient",
        "dead-units",
        "saturated-gates",
        "overfitting",
        "underfitting",
        "learning-rate-too-high",
        "learning-rate-too-low",
        "context-beyond-memory",
        "season-out-of-sight",
        "flat-forecast",
        "narrow-intervals",
        "worse-than-naive",
    )
    COLUMNS: ClassVar = ("code", "severity", "layer", "evidence", "advice", "value", "threshold", "member")

    code: str
    severity: Severity
    layer: str
    evidence: str
    advice: str
    value: float
    threshold: float
    member: str = ""

    def summary(self) -> dict[str, Any]:
        return self.to_json()

    def table(self) -> pd.DataFrame:
        """One row."""
        return pd.DataFrame([self.summary()])


def diagnose(inspection: "Inspection") -> tuple[Finding, ...]:
    """All that is wrong with one network, the worst first."""
    return worst_first(finding for check in CHECKS for finding in check(inspection))


def diagnose_whole(performance: Performance) -> tuple[Finding, ...]:
    """What is wrong with the forecasts of a whole ensemble."""
    return worst_first(finding for check in OF_FORECASTS for finding in check(performance))


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """In order of severity; those alike stay as they were."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


def _vanishing(seen: "Inspection") -> Iterator[Finding]:
    advice = "use an lstm or gru, start from larger recurrent weights, or read longer patches (network.patch_length)"
    radii = {spectrum.layer: float(spectrum.matrix_radius[0]) for spectrum in seen.spectra if len(spectrum.gates) == 1}
    for state in seen.state_gradients:
        layer, radius = f"encoder.recurrence.{state.layer}", radii.get(state.layer, np.inf)
        limit = THRESHOLDS["vanishing-radius"].value
        taught = max(_taught(state.norm), _taught(state.cell_norm))
        if radius < limit:
            evidence = (
                f"what this layer remembers is multiplied by {radius:.2f} or less at each step in the long run: older "
                "history can teach it nothing"
            )
            yield Finding("vanishing-gradient", "warning", layer, evidence, advice, radius, limit)
        elif taught < (limit := THRESHOLDS["vanishing-share"].value):
            evidence = (
                f"only {taught:.0%} of the steps get a hundredth of the learning signal or more: the rest of the "
                "history teaches this layer next to nothing"
            )
            yield Finding("vanishing-gradient", "warning", layer, evidence, advice, taught, limit)


def _exploding(seen: "Inspection") -> Iterator[Finding]:
    limit = THRESHOLDS["exploding-growth"].value
    for state in seen.state_gradients:
        growth = float(np.nanmax([state.decay, state.cell_decay, 0]))
        if growth > limit:
            evidence = (
                f"the learning signal grows by a factor of {growth:.2f} with each step back: old values drown new ones"
            )
            advice = "start from smaller recurrent weights, lower training.gradient_clip, or use an lstm or gru"
            yield Finding(
                "exploding-gradient", "serious", f"encoder.recurrence.{state.layer}", evidence, advice, growth, limit
            )


def _dead(seen: "Inspection") -> Iterator[Finding]:
    limit = THRESHOLDS["dead-units"].value
    for units in seen.units:
        share = float(units.dead.mean())
        if share > limit:
            evidence = f"{share:.0%} of this layer's units gave 0 for every window: they take no part and cannot learn"
            advice = "lower training.learning_rate, try network.activation=gelu, or use a smaller network.hidden_size"
            yield Finding("dead-units", "warning", units.layer, evidence, advice, share, limit)


def _saturated(seen: "Inspection") -> Iterator[Finding]:
    limit = THRESHOLDS["saturated-gates"].value
    for gate in seen.gates:
        shut, opened = float(gate.left.mean()), float(gate.right.mean())
        share, state = max((shut, "shut"), (opened, "open"))
        if share > limit:
            layer = f"encoder.recurrence.{gate.layer}.{gate.gate}"
            evidence = f"the {gate.gate} gate is {state} {share:.0%} of the time: it no longer decides anything"
            advice = "lower training.learning_rate, look at how inputs are scaled, or train anew from another seed"
            yield Finding("saturated-gates", "warning", layer, evidence, advice, share, limit)


def _overfitting(seen: "Inspection") -> Iterator[Finding]:
    curve, limit = seen.curve, THRESHOLDS["overfitting-rise"].value
    if curve is None or np.isnan(curve.val_loss).any():
        return
    gap = float(curve.val_loss[-1] / curve.train_loss[-1] - 1)
    if curve.rise > limit and gap > THRESHOLDS["overfitting-gap"].value:
        evidence = (
            f"after epoch {curve.best_epoch + 1} the loss on data it had not seen rose by {curve.rise:.0%}, while that "
            "on its training data fell: it learnt them by heart"
        )
        advice = "train on more series or longer ones, use a smaller network.hidden_size, or raise network.dropout"
        yield Finding("overfitting", "warning", "training", evidence, advice, curve.rise, limit)


def _underfitting(seen: "Inspection") -> Iterator[Finding]:
    curve, limit = seen.curve, THRESHOLDS["underfitting-fall"].value
    if curve is not None and len(curve.train_loss) > 1 and curve.fall < limit and seen.performance.naive_ratio >= 1:
        evidence = (
            f"the loss on the training data changed by {-curve.fall:.1%} only: the network learnt next to nothing"
        )
        advice = "train for more epochs, raise training.learning_rate, or use a larger network.hidden_size"
        yield Finding("underfitting", "warning", "training", evidence, advice, curve.fall, limit)


def _learning_rate(seen: "Inspection") -> Iterator[Finding]:
    high, low = THRESHOLDS["learning-rate-high"].value, THRESHOLDS["learning-rate-low"].value
    if seen.training is None or not len(seen.training.step):
        yield from _tested_rate(seen)
        return
    largest = float(np.max(seen.training.whole_update_ratio))
    if not largest <= high:
        evidence = f"single steps changed the weights by up to {largest:.1%} of their size: learning jumps about"
        advice = "lower training.learning_rate tenfold, or ask learning_rate_range_test for one"
        yield Finding("learning-rate-too-high", "serious", "training", evidence, advice, largest, high)
    elif largest < low:
        evidence = f"no step changed the weights by more than {largest:.3%} of their size: learning barely moves"
        advice = "raise training.learning_rate tenfold, or ask learning_rate_range_test for one"
        yield Finding("learning-rate-too-low", "serious", "training", evidence, advice, largest, low)


def _tested_rate(seen: "Inspection") -> Iterator[Finding]:
    """By a range test, for a training that was not recorded."""
    test = seen.learning_rate
    if test is None or test.verdict == "good":
        return
    limit = test.high if test.verdict == "too high" else test.low
    evidence = (
        f"the learning rate {test.learning_rate:.2g} is {test.verdict}: good ones lie from {test.low:.2g} to "
        f"{test.high:.2g}"
    )
    code = f"learning-rate-{test.verdict.replace(' ', '-')}"
    advice = f"set training.learning_rate to {test.suggestion:.2g}"
    yield Finding(code, "warning", "training", evidence, advice, test.learning_rate, limit)


def _memory(seen: "Inspection") -> Iterator[Finding]:
    limit, context = THRESHOLDS["memory"].value, seen.field.context
    steps = seen.connectivity.memory
    if 0 < steps < limit * context:
        evidence = f"the encoder goes by the latest {steps} of {context} steps: what is older changes next to nothing"
        advice = f"a shorter context_length would do, or let an lstm, gru or cnn read the {context} steps"
        yield Finding("context-beyond-memory", "note", "context", evidence, advice, steps / context, limit)


def _sight(seen: "Inspection") -> Iterator[Finding]:
    steps, season = seen.field.steps, seen.field.season
    if steps < season:
        evidence = f"the network sees the latest {steps} steps, a season has {season}: it cannot know where in it it is"
        advice = "raise network.num_layers or network.patch_length" + (
            " and context_length" if seen.field.context < season else ""
        )
        yield Finding("season-out-of-sight", "warning", "context", evidence, advice, float(steps), float(season))


def _flat(performance: Performance) -> Iterator[Finding]:
    limit = THRESHOLDS["flat-forecast"].value
    pattern = performance.pattern > THRESHOLDS["pattern"].value
    if len(performance.error) >= FEWEST_JUDGED and performance.flatness < limit and pattern:
        evidence = (
            f"forecasts vary over the steps ahead {performance.flatness:.0%} as much as what came, though the series "
            "repeat: the line is too flat"
        )
        advice = "let network.shortcut hold the season, train longer, and look whether the training targets vary"
        yield Finding("flat-forecast", "serious", "forecast", evidence, advice, performance.flatness, limit)


def _narrow(performance: Performance) -> Iterator[Finding]:
    limit = performance.nominal - THRESHOLDS["narrow-intervals"].value
    if len(performance.error) >= FEWEST_JUDGED and performance.coverage < limit:
        evidence = (
            f"{performance.coverage:.0%} of what came lay in the interval that should hold {performance.nominal:.0%}: "
            "the network is too sure of itself"
        )
        advice = "keep calibration on, validate on more windows, or train for fewer epochs"
        yield Finding("narrow-intervals", "warning", "forecast", evidence, advice, performance.coverage, limit)


def _naive(performance: Performance) -> Iterator[Finding]:
    limit = THRESHOLDS["worse-than-naive"].value
    if len(performance.error) >= FEWEST_JUDGED and performance.naive_ratio > limit:
        evidence = (
            f"its error is {performance.naive_ratio:.2f} times that of simply repeating what was: a naive forecast is "
            "better"
        )
        advice = "do not use it as it is: train longer, on more data, or with other settings (forecast tune)"
        yield Finding("worse-than-naive", "serious", "forecast", evidence, advice, performance.naive_ratio, limit)


def _forecasts(seen: "Inspection") -> Iterator[Finding]:
    for check in OF_FORECASTS:
        yield from check(seen.performance)


OF_FORECASTS: tuple[Callable[[Performance], Iterator[Finding]], ...] = (_naive, _flat, _narrow)
CHECKS: tuple[Callable[["Inspection"], Iterator[Finding]], ...] = (
    _exploding,
    _vanishing,
    _dead,
    _saturated,
    _learning_rate,
    _overfitting,
    _underfitting,
    _forecasts,
    _sight,
    _memory,
)


def _taught(norm: Floats) -> float:
    """Share of the steps whose gradient is a hundredth of the latest one's or more; 1 where there is none."""
    return float((norm >= TAUGHT * norm[-1]).mean())
