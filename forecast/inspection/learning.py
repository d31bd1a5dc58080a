"""How a network learnt: its loss by epoch, and where its learning rate lies among those that would do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from forecast.inspection.results import Floats, Result, jsonable

if TYPE_CHECKING:
    from forecast.lr_range import LearningRateRange

RISEN = 0.05  # of the whole fall of the smoothed loss: from there on a rate is high enough to learn by


@dataclass(frozen=True)
class LearningCurve(Result):
    """The losses of E epochs.

    Attributes:
        train_loss: `(E,)` with dropout, the mean over the epoch.
        val_loss: `(E,)` without dropout, at its end; NaN without validation.
        learning_rate: `(E,)`.
    """

    train_loss: Floats
    val_loss: Floats
    learning_rate: Floats

    @property
    def best_epoch(self) -> int:
        """The epoch with the least validation loss, from 0: the one whose weights are kept."""
        return int(np.argmin(np.where(np.isnan(self.val_loss), np.inf, self.val_loss)))

    @property
    def gap(self) -> float:
        """Validation loss over training loss at the best epoch, less 1."""
        return float(self.val_loss[self.best_epoch] / self.train_loss[self.best_epoch] - 1)

    @property
    def rise(self) -> float:
        """How far the validation loss rose again from its best to the last epoch, as a share of the best."""
        return float(self.val_loss[-1] / self.val_loss[self.best_epoch] - 1)

    @property
    def fall(self) -> float:
        """How far the training loss fell from the first epoch to the last, as a share of the first."""
        return float(1 - self.train_loss[-1] / self.train_loss[0])

    def summary(self) -> dict[str, Any]:
        best = self.best_epoch
        return {
            "epochs": len(self.train_loss),
            "best_epoch": best,
            "train_loss": float(self.train_loss[best]),
            "val_loss": jsonable(float(self.val_loss[best])),
            **{name: jsonable(getattr(self, name)) for name in ("gap", "rise", "fall")},
        }

    def table(self) -> pd.DataFrame:
        """`epoch, train_loss, val_loss, learning_rate`."""
        columns = {"train_loss": self.train_loss, "val_loss": self.val_loss, "learning_rate": self.learning_rate}
        return pd.DataFrame({"epoch": np.arange(len(self.train_loss)), **columns})


@dataclass(frozen=True)
class LearningRateReading(Result):
    """A range test, read.

    Attributes:
        learning_rates: `(S,)` ascending.
        losses: `(S,)` smoothed, in units of the untrained network's.
        low: Below it the loss hardly moves.
        high: Above it the loss no longer falls; well above, it rises.
        suggestion: A rate to train with.
        learning_rate: The rate the network is trained with, its schedule's peak.
    """

    learning_rates: Floats
    losses: Floats
    low: float
    high: float
    suggestion: float
    learning_rate: float

    @property
    def verdict(self) -> Literal["too low", "good", "too high"]:
        """Where the network's own rate lies."""
        if self.learning_rate < self.low:
            return "too low"
        return "too high" if self.learning_rate > self.high else "good"

    def summary(self) -> dict[str, Any]:
        names = ("low", "high", "suggestion", "learning_rate", "verdict")
        return {name: getattr(self, name) for name in names}

    def table(self) -> pd.DataFrame:
        """`learning_rate, loss, zone`."""
        zone = np.select(
            [self.learning_rates < self.low, self.learning_rates > self.high], ["too low", "too high"], "good"
        )
        return pd.DataFrame({"learning_rate": self.learning_rates, "loss": self.losses, "zone": zone})


def learning_curves(history: Sequence[Mapping[str, float]]) -> tuple[LearningCurve, ...]:
    """The curve of each member, from what a forecaster keeps of its training (`Forecaster.history`)."""
    members = sorted({int(epoch.get("member", 0)) for epoch in history})
    curves = []
    for member in members:
        epochs = [epoch for epoch in history if int(epoch.get("member", 0)) == member]
        columns = [
            np.array([epoch.get(name, np.nan) for epoch in epochs], np.float64)
            for name in ("train_loss", "val_loss", "learning_rate")
        ]
        curves.append(LearningCurve(*columns))
    return tuple(curves)


def read_learning_rate(test: "LearningRateRange", learning_rate: float) -> LearningRateReading:
    """Read a range test: which rates are too low, good and too high (Smith 2017, arXiv 1506.01186).

    Good begins where a twentieth of the loss's fall is done, and ends where the loss is least.

    Args:
        test: What `learning_rate_range_test` found.
        learning_rate: The rate to judge.
    """
    losses, rates = test.losses, test.learning_rates
    least = int(np.argmin(losses))
    fallen = losses[0] - losses[: least + 1] >= RISEN * (losses[0] - losses[least])
    low = float(rates[int(np.argmax(fallen))])
    return LearningRateReading(rates, losses, low, float(rates[least]), test.suggestion, learning_rate)
