"""Small networks of every kind, untrained, and windows for them."""

import pytest
import torch

from forecast import ForecasterConfig, NetworkConfig
from forecast.auto import resolve
from forecast.inspection import sample_windows
from forecast.saved import build_network
from tests.forecast.inspection.faults import CONTEXT, HORIZON, KINDS, make_series


@pytest.fixture(scope="session")
def series():
    return make_series(0, days=40)


@pytest.fixture(scope="session")
def make(series):
    """Make an untrained network of a kind, its configuration, and a few windows."""

    def build(kind, seed=0, **network):
        settings = {"hidden_size": 8, "dropout": 0.3, **network}
        config = resolve(
            ForecasterConfig(
                prediction_length=HORIZON, context_length=CONTEXT, network=NetworkConfig(kind=kind, **settings)
            ),
            series,
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return build_network(config).eval(), config, sample_windows(config, series, 8)

    return build


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param
