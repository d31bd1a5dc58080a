"""Hypothesis without a deadline (a first example also pays for imports), and one small trained model."""

import warnings

import pytest
from hypothesis import settings

from forecast import Forecaster, NetworkConfig, SeriesTable, TrainingConfig, read_series
from forecast.datasets import load_pedestrian
from forecast.errors import DataWarning

settings.register_profile("forecast", deadline=None, max_examples=60, database=None)
settings.load_profile("forecast")

QUICK = TrainingConfig(batch_size=64, max_epochs=3, batches_per_epoch=10)
HORIZON = 24


@pytest.fixture(scope="session")
def table() -> SeriesTable:
    """The last sixty days of four places, hourly, in local time."""
    with warnings.catch_warnings(action="ignore", category=DataWarning):
        return read_series(load_pedestrian()).keep_last(24 * 60)


@pytest.fixture
def untrained() -> Forecaster:
    """A small forecaster for a day of hours."""
    network = NetworkConfig(kind="gru", hidden_size=16)
    return Forecaster(network, prediction_length=HORIZON, context_length=168, training=QUICK)


@pytest.fixture(scope="session")
def model(table: SeriesTable) -> Forecaster:
    """That forecaster, trained: tests may not change it."""
    network = NetworkConfig(kind="gru", hidden_size=16)
    return Forecaster(network, prediction_length=HORIZON, context_length=168, training=QUICK).fit(table)
