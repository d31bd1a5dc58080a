"""Training that starts from a trained forecaster."""

import pytest

from forecast import Forecaster, NetworkConfig, SeriesTable, TrainingConfig
from forecast.config import ForecasterConfig
from forecast.errors import ParameterError
from tests.forecast.conftest import HORIZON

QUICK = TrainingConfig(batch_size=32, max_epochs=8, batches_per_epoch=2)
STILL = QUICK.model_copy(update={"learning_rate": 1e-12, "weight_decay": 0.0})  # weights stay where they are


@pytest.fixture(scope="module")
def trained(table: SeriesTable) -> Forecaster:
    network = NetworkConfig(kind="gru", hidden_size=8)
    model = Forecaster(network, prediction_length=HORIZON, context_length=48, training=QUICK)
    return model.fit(table.drop_last(4 * HORIZON))


def still(config: ForecasterConfig) -> Forecaster:
    return Forecaster.from_config(config.model_copy(update={"training": STILL}))


def parameters(model: Forecaster) -> list[float]:
    return [value for one in model.network.members for part in one.parameters() for value in part.flatten().tolist()]


def test_the_first_weights_are_the_given_ones(trained: Forecaster, table: SeriesTable):
    warm = still(trained.config).fit(table.drop_last(HORIZON), start=trained)
    assert parameters(warm) == pytest.approx(parameters(trained), abs=1e-6)
    again = warm.refit(table, 1)
    assert parameters(again) == pytest.approx(parameters(trained), abs=1e-6)
    cold = still(trained.config).fit(table.drop_last(HORIZON))
    assert parameters(cold) != pytest.approx(parameters(trained), abs=1e-2)


def test_it_takes_fewer_epochs_and_keeps_the_settings(trained: Forecaster, table: SeriesTable):
    warm = Forecaster.from_config(trained.config).fit(table, start=trained)
    assert len(warm.history) < len(trained.history) == QUICK.max_epochs
    assert warm.config == trained.config


def test_what_it_starts_from_is_left_as_it_was(trained: Forecaster, table: SeriesTable):
    before = parameters(trained)
    Forecaster.from_config(trained.config).fit(table, start=trained)
    assert parameters(trained) == before


def test_other_networks_are_refused(trained: Forecaster, table: SeriesTable):
    other = Forecaster(NetworkConfig(kind="gru", hidden_size=16), HORIZON, 48, QUICK)
    with pytest.raises(ParameterError, match="other networks"):
        other.fit(table, start=trained)
