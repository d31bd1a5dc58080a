"""The same network from the same first weights on the same batches, under several optimizers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from forecast.auto import resolve
from forecast.config import ForecasterConfig
from forecast.inspection.learning import LearningCurve, learning_curves
from forecast.inspection.results import Result
from forecast.table import SeriesTable
from forecast.training import train

RATES = {"sgd": 0.4, "adam": 4e-3, "rmsprop": 4e-3}  # each about what suits it: see `TrainingConfig.learning_rate`


@dataclass(frozen=True)
class OptimizerComparison(Result):
    """One learning curve for each optimizer.

    Attributes:
        curves: By the optimizer's name.
        learning_rates: The peak rate each was given.
    """

    curves: dict[str, LearningCurve]
    learning_rates: dict[str, float]

    def summary(self) -> dict[str, Any]:
        return {
            name: {"learning_rate": self.learning_rates[name], **curve.summary()} for name, curve in self.curves.items()
        }

    def table(self) -> pd.DataFrame:
        """`optimizer, epoch, train_loss, val_loss, learning_rate`."""
        return pd.concat([curve.table().assign(optimizer=name) for name, curve in self.curves.items()])


def compare_optimizers(
    config: ForecasterConfig, table: SeriesTable, learning_rates: Mapping[str, float] = RATES
) -> OptimizerComparison:
    """Train a fresh network under each optimizer; the seed, and so first weights and batches, are the same.

    Args:
        config: A configuration of one network, resolved or not; its epochs decide how long this takes.
        table: The training data.
        learning_rates: The optimizers to compare, each with its peak learning rate.

    Raises:
        DataError: No series is long enough.
        TrainingError: A loss became infinite or not a number.
    """
    network = resolve(config, table).networks[0]
    curves = {}
    for name, rate in learning_rates.items():
        changes = {"optimizer": name, "learning_rate": rate, "momentum": None, "weight_decay": None}
        training = network.training.model_copy(update=changes)
        _, epochs = train(network.model_copy(update={"training": training}), table)
        curves[name] = learning_curves(epochs)[0]
    return OptimizerComparison(curves, dict(learning_rates))
