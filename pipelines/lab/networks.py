"""The small networks that the experiments train and look at, all made of the project's own parts."""

from collections.abc import Mapping
from typing import Any

import torch

from forecast.auto import resolve
from forecast.config import ForecasterConfig, NetworkConfig, TrainingConfig
from forecast.networks import Network
from forecast.saved import build_network
from forecast.table import SeriesTable

HORIZON = 24  # hours forecast in every experiment: a day

# The encoder alone answers: no seasonal shortcut beside it that forecasts well whatever the encoder does, no calendar.
BARE = {"shortcut": (0,), "dropout": 0.0, "output": "mean"}


def settings(
    table: SeriesTable,
    network: Mapping[str, Any],
    training: Mapping[str, Any],
    context_length: int | None = None,
    calendar: bool = False,
) -> ForecasterConfig:
    """The complete settings of a network that forecasts a day.

    Args:
        table: The series.
        network: Settings of the network.
        training: Settings of its training.
        context_length: Hours of history read; by default two weeks.
        calendar: Whether hour and weekday are read.
    """
    config = ForecasterConfig.build(
        prediction_length=HORIZON,
        context_length=context_length,
        calendar=calendar,
        network=NetworkConfig.build(**network),
        training=TrainingConfig.build(**training),
    )
    return resolve(config, table)


def untrained(config: ForecasterConfig, seed: int = 0) -> Network:
    """A fresh network with the first weights that belong to a seed; the random numbers of others stay as they are."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_network(config).eval()
