"""Looking at a whole model: its networks, one of its forecasts, and how it was trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forecast import Forecaster
from forecast.inspection import (
    Finding,
    ForecastInspection,
    Landscape,
    LearningRateReading,
    ModelInspection,
    OptimizerComparison,
    compare_optimizers,
    inspect_forecast,
    inspect_model,
    loss_landscape,
    read_learning_rate,
    sample_windows,
)
from forecast.inspection.findings import SEVERITIES
from forecast.inspection.results import by_member
from forecast.lr_range import learning_rate_range_test
from forecast.table import SeriesTable

if TYPE_CHECKING:
    from forecast.inspection import TrainingGradients

MOST_EPOCHS = 5  # of each training that compares optimizers
LANDSCAPE_WINDOWS = 64  # each is read some hundred times


@dataclass(frozen=True)
class Seen:
    """What was seen of a model.

    Attributes:
        model: Its networks and the whole, with all findings.
        forecasts: One forecast, as each network makes it.
        history: The losses by epoch, where its training was seen; else empty.
        optimizers: Its first network under several optimizers, where that was asked for.
        landscapes: The loss around each network's weights, where that was asked for; else empty.
    """

    model: ModelInspection
    forecasts: tuple[ForecastInspection, ...]
    history: Sequence[dict[str, float]] = ()
    optimizers: OptimizerComparison | None = None
    landscapes: tuple[Landscape, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong, the worst first."""
        return self.model.findings

    def scalars(self) -> dict[str, float]:
        """A handful of numbers to compare runs by, as metrics of a run."""
        found = {f"inspection/{severity}": 0.0 for severity in SEVERITIES}
        for finding in self.findings:
            found[f"inspection/{finding.severity}"] += 1
        found["inspection/memory"] = float(max(one.connectivity.memory for one in self.model.members))
        if trainings := [one.training for one in self.model.members if one.training and len(one.training.step)]:
            found["inspection/clipped_share"] = max(one.clipped_share for one in trainings)
            found["inspection/update_ratio"] = float(
                np.median([np.median(one.whole_update_ratio) for one in trainings])
            )
        return found

    def summary(self) -> dict[str, Any]:
        """The numbers that say most, JSON-able; `findings` first."""
        found = {**self.model.summary(), "forecasts": [one.summary() for one in self.forecasts]}
        if self.optimizers is not None:
            found["optimizers"] = self.optimizers.summary()
        if self.landscapes:
            found["landscapes"] = [one.summary() for one in self.landscapes]
        return found

    def tables(self) -> dict[str, pd.DataFrame]:
        """Everything as tidy tables, by name, with a column `member`."""
        forecasts = [
            (one.name, {f"forecast_{name}": frame for name, frame in one.tables().items()}) for one in self.forecasts
        ]
        names = [member.name for member in self.model.members]
        landscapes = [(name, {"landscapes": one.table()}) for name, one in zip(names, self.landscapes, strict=False)]
        optimizers = {} if self.optimizers is None else {"optimizers": self.optimizers.table().reset_index(drop=True)}
        return self.model.tables() | by_member([*forecasts, *landscapes]) | optimizers


def look(
    forecaster: Forecaster,
    table: SeriesTable,
    series: int = 0,
    trainings: "Sequence[TrainingGradients]" = (),
    full: bool = False,
) -> Seen:
    """Look inside a model.

    Args:
        forecaster: The model.
        table: The series it was trained on, as `fit` was given them; any others will do as well.
        series: Whose forecast is explained.
        trainings: What was recorded while its networks were trained.
        full: Whether to train as well, to see what other learning rates and optimizers do: that takes as long as
            some of its training did.

    Raises:
        DataError: No series is long enough.
    """
    config, network = forecaster.config, forecaster.network
    rates: list[LearningRateReading] = []
    optimizers, landscapes = None, []
    if full:
        rates += [
            read_learning_rate(learning_rate_range_test(one, table), one.training.learning_rate)
            for one in config.networks
        ]
        first = config.networks[0]
        epochs = {"max_epochs": min(first.training.max_epochs, MOST_EPOCHS)}
        short = first.model_copy(update={"training": first.training.model_copy(update=epochs)})
        optimizers = compare_optimizers(short, table)
        batch = sample_windows(config, table, LANDSCAPE_WINDOWS)
        for one, member in zip(config.networks, network.members, strict=True):
            landscapes.append(loss_landscape(member, batch, one.training.error_unit))
    seen = inspect_model(config, network, table, forecaster.history, trainings, rates)
    forecasts = inspect_forecast(config, network, table, series)
    return Seen(seen, forecasts, forecaster.history, optimizers, tuple(landscapes))
