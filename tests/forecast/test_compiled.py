"""A compiled network gives what the network gives, whatever it is made of."""

import itertools
from typing import Any

import pandas as pd
import pytest
import torch

from forecast import CovariatesConfig, Forecaster
from forecast.calendar import feature_names
from forecast.compiled import CompiledNetwork
from forecast.config import ForecasterConfig
from forecast.covariate_features import static_size, varying_size
from forecast.networks import Ensemble
from forecast.saved import build_ensemble, build_network
from forecast.windows import Batch
from tests.service.conftest import TINY

COVARIATES = CovariatesConfig(
    known=("price",), static=("region",), scales={"price": (1, 2)}, categories={"region": ("a", "b")}
)
KINDS = ("feedforward", "cnn", "rnn", "gru", "lstm")


def untrained(config: ForecasterConfig, seed: int) -> Ensemble:
    torch.manual_seed(seed)
    members = [build_network(one) for one in config.networks]
    network = build_ensemble(config, members).eval()
    with torch.no_grad():  # as if fitted: some quantiles are moved, some are not
        network.factors.copy_(1 + torch.rand_like(network.factors).round() / 2)
    return network


def some_windows(config: ForecasterConfig, count: int) -> Batch:
    """Windows of all sorts: with gaps, constant, below 0, huge, and one without any value."""
    generator = torch.Generator().manual_seed(count)
    length, horizon = config.longest_context, config.prediction_length
    size = 10.0 ** torch.randint(-3, 6, (count, 1), generator=generator)
    context = (1 + torch.rand(count, length, generator=generator)) * size
    context[1::5] *= -1
    context[2::5] = 7
    observed = torch.rand(count, length, generator=generator) > 0.1
    observed[3::5] = False
    features = len(feature_names(config.calendar_frequency)) + varying_size(config.covariates)
    known = torch.randn(count, length + horizon, features, generator=generator)
    static = torch.randn(count, static_size(config.covariates), generator=generator)
    nothing = torch.zeros(count, horizon)
    return Batch(context.masked_fill(~observed, 0), observed, known, nothing, nothing > 0, nothing[:, 0], static)


def settings(kind: str, **network: Any) -> dict[str, Any]:
    shape = {"patch_length": 4, "num_layers": 2, "hidden_size": 8, "shortcut": (12, 1, 0), "transform": "none"}
    return {"context_length": 24, "network": {"kind": kind, **shape, **network}}


CASES = [
    *(
        settings(kind, scaling=scaling)
        for kind, scaling in itertools.product(KINDS, ("standard", "mean-abs", "robust"))
    ),
    *(settings("gru", output=output, transform="log") for output in ("quantiles", "mean", "bins")),
    {**settings("feedforward"), "covariates": COVARIATES},
    {**settings("lstm"), "members": [settings("cnn"), {**settings("lstm"), "context_length": 12}, settings("rnn")]},
    {**settings("lstm"), "members": [settings("lstm"), settings("gru")], "combination": "weights"},
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_compiled_networks_forecast_the_same(case: dict[str, Any]) -> None:
    config = ForecasterConfig.build(prediction_length=7, frequency="h", nonnegative=True, **case)
    networks = [untrained(config, seed) for seed in (0, 1)]
    compiled = [CompiledNetwork(network, config, lambda count: some_windows(config, count)) for network in networks]
    for count in (1, 2, 17, 300):
        batch = some_windows(config, count)
        inputs = batch.context, batch.observed, batch.known, batch.static
        with torch.inference_mode():
            for eager, fast in zip(networks, compiled, strict=True):  # of one shape, each with weights of its own
                torch.testing.assert_close(fast(*inputs), eager(*inputs), rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore::forecast.errors.DataWarning")
def test_a_forecaster_answers_the_same_compiled() -> None:
    eager, compiled = Forecaster.load(TINY), Forecaster.load(TINY).compile()
    assert compiled.forecasting is not compiled.network
    steps = [float(hour % 24) for hour in range(300)]
    series = pd.DataFrame({"timestamp": pd.date_range("2024-01-01", periods=300, freq="h"), "target": steps})
    for horizon in (eager.prediction_length, 3 * eager.prediction_length):
        pd.testing.assert_frame_equal(compiled.predict(series, horizon), eager.predict(series, horizon), rtol=1e-5)
