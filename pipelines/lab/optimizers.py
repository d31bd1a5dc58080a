"""SGD stands still at the small learning rates that suit Adam and RMSprop: it needs a much larger one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forecast.inspection import LearningCurve, compare_optimizers
from forecast.inspection.results import Floats, Result
from forecast.table import SeriesTable
from pipelines.lab.experiment import Experiment, Lesson, Verdict, judged
from pipelines.lab.networks import BARE, settings
from pipelines.pictures import Picture
from pipelines.pictures.style import BASELINE, MODEL, OTHERS, line, styled

RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
SMALL = 1e-3  # the rate that Kingma and Ba recommend, and the default in most libraries
BEHIND = 1.5  # times an optimizer's own best loss: from there on it has hardly begun
LARGER = 10  # times the rate that suits the others: what SGD needs at the least

SGD, ADAM, RMSPROP = "sgd", "adam", "rmsprop"
NAMES = {SGD: "SGD with momentum", ADAM: "Adam", RMSPROP: "RMSprop"}
COLOURS = {SGD: BASELINE, ADAM: MODEL, RMSPROP: OTHERS[0]}

LESSON = Lesson(
    claim="SGD stands still at the small learning rates that suit Adam and RMSprop: it needs a much larger one.",
    explanation=(
        "SGD steps against the gradient as it is: where the gradient is small, so is the step. RMSprop divides each "
        "weight's step by the usual size of its gradient, Adam does so with the mean of the last gradients, so that "
        "every weight moves by about the learning rate, however small its gradient. That is why their rates carry "
        "over from one network to the next, and why a rate that suits them is far too low for SGD. Which one ends "
        "best is another question, and a fair answer gives each its own best rate: at any one rate for all, the "
        "winner is chosen with the rate."
    ),
    formulas=(
        "SGD: v ← μ v + g, w ← w - η v",
        "RMSprop: s ← β s + (1 - β) g^2, w ← w - η g / √s",
        "Adam: w ← w - η m / √s, with m a running mean of g",
    ),
    source=(
        "Robbins and Monro 1951; Polyak 1964; Tieleman and Hinton 2012; Kingma and Ba 2015 (arXiv 1412.6980); Choi et "
        "al. 2019 (arXiv 1910.05446) on comparing them at rates of their own."
    ),
)


@dataclass(frozen=True)
class Race(Result):
    """The same network under each optimizer at each of R rates.

    Attributes:
        rates: `(R,)` ascending; each is the schedule's peak.
        curves: By optimizer, one for each rate.
    """

    rates: Floats
    curves: dict[str, tuple[LearningCurve, ...]]

    def loss(self, optimizer: str) -> Floats:
        """`(R,)` validation loss after the last epoch."""
        return np.array([curve.val_loss[-1] for curve in self.curves[optimizer]])

    def best(self, optimizer: str) -> int:
        """The place of the rate at which an optimizer ends best."""
        return int(self.loss(optimizer).argmin())

    def summary(self) -> dict[str, Any]:
        return {
            name: {
                "best_rate": float(self.rates[self.best(name)]),
                "val_loss": {f"{rate:g}": float(one) for rate, one in zip(self.rates, self.loss(name), strict=True)},
            }
            for name in self.curves
        }

    def table(self) -> pd.DataFrame:
        """`optimizer, peak_rate, epoch, train_loss, val_loss, learning_rate`."""
        frames = [
            curve.table().assign(optimizer=name, peak_rate=rate)
            for name, curves in self.curves.items()
            for rate, curve in zip(self.rates, curves, strict=True)
        ]
        return pd.concat(frames, ignore_index=True)


def run(table: SeriesTable) -> Experiment:
    """The experiment as it is shown."""
    race = measure(table)
    return Experiment(LESSON, judge(race), race.summary(), {"curves": race.table()}, pictures(race))


def measure(
    table: SeriesTable, rates: Sequence[float] = RATES, hidden_size: int = 64, epochs: int = 6, batches: int = 40
) -> Race:
    """Train the same network under each optimizer at each rate.

    Args:
        table: The series.
        rates: Ascending.
        hidden_size: Units of a layer.
        epochs: Of each training.
        batches: Of each epoch.
    """
    network = {**BARE, "kind": "feedforward", "num_layers": 2, "hidden_size": hidden_size}
    pace = {"max_epochs": epochs, "batches_per_epoch": batches, "batch_size": 128}
    config = settings(table, network, pace)
    runs = [compare_optimizers(config, table, dict.fromkeys(NAMES, rate)).curves for rate in rates]
    return Race(np.array(rates), {name: tuple(one[name] for one in runs) for name in NAMES})


def judge(race: Race, rate: float = SMALL) -> Verdict:
    """Whether at a small rate SGD is far behind its own best and the others are not, and SGD's best rate is far higher.

    Args:
        race: What was measured.
        rate: One of its rates.
    """
    place = int(np.abs(race.rates - rate).argmin())
    at_small = {name: float(race.loss(name)[place]) for name in NAMES}
    own = {name: float(race.loss(name).min()) for name in NAMES}
    best = {name: float(race.rates[race.best(name)]) for name in NAMES}
    failures = []
    if at_small[SGD] < BEHIND * own[SGD]:
        failures.append(f"SGD learns at a rate of {rate:g} as well")
    failures += [
        f"{NAMES[name]} hardly learns at a rate of {rate:g}"
        for name in (ADAM, RMSPROP)
        if at_small[name] >= BEHIND * own[name]
    ]
    if best[SGD] < LARGER * max(best[ADAM], best[RMSPROP]):
        failures.append(f"SGD's best rate is not {LARGER} times that of the others")
    at_own = {name: f"{own[name]:.3f} at {best[name]:g}" for name in NAMES}
    found = (
        f"at a rate of {rate:g} SGD ends at a validation loss of {at_small[SGD]:.3f}, Adam at {at_small[ADAM]:.3f} and "
        f"RMSprop at {at_small[RMSPROP]:.3f}; each at its own best rate, SGD ends at {at_own[SGD]}, Adam at "
        f"{at_own[ADAM]} and RMSprop at {at_own[RMSPROP]}"
    )
    return judged(failures, found)


def pictures(race: Race) -> tuple[Picture, ...]:
    """The last loss by rate, and the curves of each optimizer at its own rate."""
    from plotly import graph_objects as go

    by_rate, curves = go.Figure(), go.Figure()
    for name, title in NAMES.items():
        by_rate.add_trace(line(title, COLOURS[name], race.rates, race.loss(name), mode="lines+markers"))
        best = race.best(name)
        loss = race.curves[name][best].val_loss
        named = f"{title}, {race.rates[best]:g}"
        curves.add_trace(line(named, COLOURS[name], np.arange(1, len(loss) + 1), loss, mode="lines+markers"))
    y = "validation loss, deviations"
    styled(by_rate, "peak learning rate", y).update_xaxes(type="log", tickvals=race.rates)
    styled(curves, "epoch", y).update_xaxes(dtick=1)
    best_rate = {name: race.rates[race.best(name)] for name in NAMES}
    adams, rmsprops = (best_rate[SGD] / best_rate[name] for name in (ADAM, RMSPROP))
    first = Picture(
        f"SGD's best rate is {adams:.3g} times Adam's and {rmsprops:.3g} times RMSprop's",
        "The same network, first weights and batches under each optimizer at each rate, the peak of a one-cycle "
        "schedule. Mean absolute error on the validation windows after the last epoch, in standard deviations of each "
        "window's history.",
        by_rate,
    )
    own = {name: float(race.loss(name).min()) for name in NAMES}
    winner = min(own, key=lambda name: own[name])
    spread = max(own.values()) / own[winner] - 1
    second = Picture(
        f"Each at its own rate, they end within {spread:.0%} of each other; {NAMES[winner]} is ahead".replace(
            "%", " %"
        ),
        "Validation loss by epoch of each optimizer at the rate that suits it best. Where the lines differ early and "
        "meet late, the optimizer decides how soon, not how well.",
        curves,
    )
    return first, second
