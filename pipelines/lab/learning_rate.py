"""The learning rate has three regimes: too low, good, too high."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import TrainingError
from forecast.inspection import LearningCurve, LearningRateReading, learning_curves, read_learning_rate
from forecast.inspection.results import Floats, Result, jsonable
from forecast.lr_range import learning_rate_range_test
from forecast.table import SeriesTable
from forecast.training import train
from pipelines.lab.experiment import Experiment, Lesson, Verdict, judged
from pipelines.lab.networks import BARE, settings
from pipelines.pictures import Picture
from pipelines.pictures.style import ACTUAL, BASELINE, MODEL, OTHERS, QUIET, line, styled

RATES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
WORSE = 0.05  # above the least loss: from there on a rate is not a good one

LESSON = Lesson(
    claim="The learning rate has three regimes: too low, good, too high.",
    explanation=(
        "A step goes against the gradient, and the learning rate η says how far. The gradient is true at one point "
        "only. Steps much shorter than they could be waste the epochs: the loss falls, but slowly. Steps longer than "
        "the valley is wide jump across it: the loss falls no further, or rises. For a parabola of curvature λ the "
        "error is multiplied by 1 - ηλ at each step, which shrinks only for η < 2/λ. A range test finds the good "
        "rates in a hundred steps: train with a rate that grows from step to step, and look where the loss falls."
    ),
    formulas=("w ← w - η ∂L/∂w", "on L = λ w^2 / 2: w ← (1 - ηλ) w, which converges for 0 < η < 2/λ"),
    source="Goodfellow et al. 2016, Deep Learning, sections 4.3 and 11.4.1; Smith 2017 (arXiv 1506.01186): range test.",
)


@dataclass(frozen=True)
class Regimes(Result):
    """The same network trained at R rates, and a range test of it.

    Attributes:
        rates: `(R,)` ascending.
        curves: Its learning curve at each; None where the loss was no longer a number.
        reading: The range test, read.
    """

    rates: Floats
    curves: tuple[LearningCurve | None, ...]
    reading: LearningRateReading

    @property
    def loss(self) -> Floats:
        """`(R,)` validation loss after the last epoch; infinite where it was no longer a number."""
        return _last_losses(self.curves)

    @property
    def best(self) -> int:
        """Which rate ended best."""
        return int(self.loss.argmin())

    def summary(self) -> dict[str, Any]:
        loss = {f"{rate:g}": jsonable(float(one)) for rate, one in zip(self.rates, self.loss, strict=True)}
        return {"val_loss": loss, "best": float(self.rates[self.best]), "range_test": self.reading.summary()}

    def table(self) -> pd.DataFrame:
        """`learning_rate, epoch, train_loss, val_loss`; rates whose loss was no longer a number have no rows."""
        frames = [
            curve.table().assign(learning_rate=rate)
            for rate, curve in zip(self.rates, self.curves, strict=True)
            if curve is not None
        ]
        return pd.concat(frames, ignore_index=True)


def run(table: SeriesTable) -> Experiment:
    """The experiment as it is shown."""
    regimes = measure(table)
    tables = {"curves": regimes.table(), "range_test": regimes.reading.table()}
    return Experiment(LESSON, judge(regimes), regimes.summary(), tables, pictures(regimes))


def measure(
    table: SeriesTable,
    rates: Sequence[float] = RATES,
    hidden_size: int = 64,
    epochs: int = 6,
    batches: int = 40,
    steps: int = 100,
) -> Regimes:
    """Train the same network at every rate, and do a range test.

    Args:
        table: The series.
        rates: Ascending.
        hidden_size: Units of a layer.
        epochs: Of each training.
        batches: Of each epoch.
        steps: Of the range test.
    """
    network = {**BARE, "kind": "feedforward", "num_layers": 2, "hidden_size": hidden_size}

    # "plateau" leaves the rate as it is until the loss stalls for three epochs.
    pace = {"optimizer": "adam", "schedule": "plateau", "max_epochs": epochs, "batches_per_epoch": batches}
    curves: list[LearningCurve | None] = []
    for rate in rates:
        config = settings(table, network, {**pace, "batch_size": 128, "learning_rate": rate})
        try:
            _, history = train(config, table)
            curves.append(learning_curves(history)[0])
        except TrainingError:
            curves.append(None)
    loss = _last_losses(curves)
    reading = read_learning_rate(learning_rate_range_test(config, table, steps), float(rates[int(loss.argmin())]))
    return Regimes(np.array(rates), tuple(curves), reading)


def judge(regimes: Regimes) -> Verdict:
    """Whether the best rate lies between rates that are clearly worse."""
    loss, rates, best = regimes.loss, regimes.rates, regimes.best
    least, low, high = (float(loss[place]) for place in (best, 0, -1))
    failures = []
    if low <= (1 + WORSE) * least:
        failures.append(f"the lowest rate, {_rate(float(rates[0]))}, is not too low")
    if high <= (1 + WORSE) * least:
        failures.append(f"the highest rate, {_rate(float(rates[-1]))}, is not too high")
    lowest, good, highest = (_rate(float(rates[place])) for place in (0, best, -1))
    found = (
        f"the same network ends at a validation loss of {_number(low)} with a rate of {lowest}, {_number(least)} with "
        f"{good} and {_number(high)} with {highest}"
    )
    return judged(failures, found)


def pictures(regimes: Regimes) -> tuple[Picture, ...]:
    """The last loss by rate, with what the range test says of it; the curves of a low, a good and a high rate."""
    from plotly import graph_objects as go
    from plotly.subplots import make_subplots

    reading, rates, loss, best = regimes.reading, regimes.rates, regimes.loss, regimes.best
    headings = ("range test: the loss as the rate grows", "whole trainings: the loss after the last epoch")
    by_rate = make_subplots(rows=2, cols=1, shared_xaxes=True, subplot_titles=headings, vertical_spacing=0.14)
    tested = line("range test", QUIET, reading.learning_rates, reading.losses, showlegend=False)
    there = np.isfinite(loss)
    trained = line("trained", MODEL, rates[there], loss[there], mode="lines+markers", showlegend=False)
    by_rate.add_trace(tested, row=1, col=1).add_trace(trained, row=2, col=1)
    by_rate.add_vrect(reading.low, reading.high, fillcolor=OTHERS[0], opacity=0.14, line_width=0, row="all", col=1)
    styled(by_rate, height=560).update_annotations(font_size=14, x=0, xanchor="left")
    for x, text in ((rates[0], "too low"), (reading.low, "good"), (reading.high, "too high")):
        where = {"x": float(np.log10(x)), "y": 0.99, "yref": "y domain", "xanchor": "left", "yanchor": "top"}
        by_rate.add_annotation(text=text, showarrow=False, font_color=ACTUAL, **where)
    by_rate.update_xaxes(type="log", exponentformat="power", dtick=1)
    by_rate.update_xaxes(title="learning rate", row=2, col=1)
    by_rate.update_yaxes(title="loss / untrained", row=1, col=1)
    by_rate.update_yaxes(title="validation loss", type="log", row=2, col=1)
    inside = "inside" if reading.verdict == "good" else "outside"
    first = Picture(
        f"A rate of {_rate(rates[best])} ends best, {inside} what the range test calls good "
        f"({_rate(reading.low)} to {_rate(reading.high)})",
        "Above: a hundred steps, each at a higher rate; the loss in units of the untrained network's on the same "
        "windows. Below: the same network, from the same first weights on the same batches, trained once for each "
        "rate; mean absolute error in standard deviations of each window's history. Green: from where the range "
        "test's loss falls to where it is least.",
        by_rate,
    )
    curves = go.Figure()
    for place, color in ((0, OTHERS[3]), (best, MODEL), (len(rates) - 1, BASELINE)):
        curve = regimes.curves[place]
        if curve is not None:
            epochs = np.arange(1, len(curve.val_loss) + 1)
            name = f"{_rate(rates[place])}, {('too low', 'good', 'too high')[int(place > 0) + int(place > best)]}"
            curves.add_trace(line(name, color, epochs, curve.val_loss, mode="lines+markers"))
    styled(curves, "epoch", "validation loss, deviations").update_xaxes(dtick=1).update_yaxes(type="log")
    lowest, good, highest = (_rate(float(rates[place])) for place in (0, best, -1))
    title = f"At {lowest} the loss creeps down, at {good} it falls, at {highest} it never gets there"
    second = Picture(
        title if judge(regimes).holds else f"Of the lowest, the best and the highest rate {good} ends best",
        "Validation loss by epoch: mean absolute error in standard deviations of each window's history. With Adam "
        "a step changes every weight by about the rate: too low a rate needs more epochs than there are, too high a "
        "one throws the weights about.",
        curves,
    )
    return first, second


def _last_losses(curves: Sequence[LearningCurve | None]) -> Floats:
    return np.array([np.inf if curve is None else curve.val_loss[-1] for curve in curves])


def _rate(rate: float) -> str:
    """A rate without an exponent: "0.00001"."""
    return np.format_float_positional(rate, precision=1, fractional=False, trim="-")


def _number(loss: float) -> str:
    if not np.isfinite(loss):
        return "no number any more"
    return f"{loss:.3f}" if loss < 100 else f"{loss:,.0f}"
