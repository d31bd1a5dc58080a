import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from forecast.config import ForecasterConfig, NetworkConfig
from forecast.networks import Network
from forecast.networks.network import FIRST_SHARE
from forecast.networks.shortcut import seasonal_shortcut
from forecast.scaling import window_scale

KINDS = ["feedforward", "cnn", "rnn", "gru", "lstm"]
CONTEXT, HORIZON, KNOWN = 48, 6, 4


def make(kind="lstm", *, seed=0, levels=(0.1, 0.5, 0.9), context=CONTEXT, **settings):
    torch.manual_seed(seed)
    network = NetworkConfig(**{"kind": kind, "hidden_size": 8, "patch_length": 24, "shortcut": 24, **settings})
    config = ForecasterConfig(
        prediction_length=HORIZON,
        context_length=context,
        quantile_levels=levels,
        network=network,
    )
    return Network(config, KNOWN).eval()


def make_batch(size=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    context = torch.randn(size, CONTEXT, generator=generator)
    observed = torch.rand(size, CONTEXT, generator=generator) > 0.2
    known = torch.rand(size, CONTEXT + HORIZON, KNOWN, generator=generator)
    return context, observed, known


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("patch_length", [1, 24])
@pytest.mark.parametrize("shortcut", [0, 1, 24])
@pytest.mark.parametrize("scaling", ["standard", "mean-abs"])
def test_every_network_forecasts_every_step_and_level(kind, patch_length, shortcut, scaling):
    network = make(kind, patch_length=patch_length, shortcut=shortcut, scaling=scaling)
    quantiles = network(*make_batch())
    assert quantiles.shape == (4, HORIZON, 3)
    assert torch.isfinite(quantiles).all()
    assert (quantiles.diff(dim=-1) > 0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), 1e38, -1.0])
def test_what_stands_under_the_mask_changes_nothing(kind, garbage):
    network = make(kind)
    context, observed, known = make_batch()
    context = context.abs()
    expected = network(context, observed, known)
    assert torch.equal(network(context.masked_fill(~observed, garbage), observed, known), expected)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25)
@given(seed=st.integers(0, 2**31), size=st.floats(0, 50), exponent=st.integers(-30, 15))
def test_quantiles_never_cross(kind, seed, size, exponent):  # larger series under such weights overflow
    network = make(kind, seed=seed, levels=(0.025, 0.1, 0.4, 0.5, 0.6, 0.975))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(size * torch.randn_like(parameter))
        context, observed, known = make_batch(seed=seed)
        quantiles = network(context * 10.0**exponent, observed, known)
    assert torch.isfinite(quantiles).all()
    assert (quantiles.diff(dim=-1) >= 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_an_untrained_network_is_close_to_seasonal_naive(kind):
    network = make(kind)
    season = torch.randn(24)
    context = (100 + 10 * season).repeat(2).unsqueeze(0) + 0.01 * torch.randn(1, CONTEXT)
    observed = torch.ones(1, CONTEXT, dtype=torch.bool)
    quantiles = network(context, observed, make_batch(1)[2])
    error = (quantiles[0, :, 1] - context[0, 24 : 24 + HORIZON]).abs().mean() / context.std()
    assert error < 0.25  # of a standard deviation


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("exponent", [-30, 30])
def test_a_forecast_scales_with_the_series(kind, exponent):
    network = make(kind)
    context, observed, known = make_batch()
    unit = 10.0**exponent
    torch.testing.assert_close(
        network(context * unit, observed, known) / unit, network(context, observed, known), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [0.0, 3.0, -1e30, 1e-30])
@pytest.mark.parametrize("shortcut", [0, 1, 24])
def test_a_constant_series_goes_on(kind, value, shortcut):
    _, observed, known = make_batch()
    quantiles = make(kind, shortcut=shortcut)(torch.full((4, CONTEXT), value), observed, known)
    torch.testing.assert_close(quantiles, torch.full_like(quantiles, value), rtol=1e-5, atol=0)


@pytest.mark.parametrize("scaling", ["standard", "mean-abs"])
def test_a_shortcut_of_zero_starts_from_the_mean(scaling):
    network = make(shortcut=0, scaling=scaling)
    context, observed, known = make_batch()
    _, frame = network.scaled(context + 5, observed, known)
    mean = ((context + 5) * observed).sum(1) / observed.sum(1)
    torch.testing.assert_close(frame.base, mean.unsqueeze(1).expand(-1, HORIZON))


@pytest.mark.parametrize("output", ["quantiles", "mean", "bins"])
@pytest.mark.parametrize("scaling", ["standard", "mean-abs", "robust"])
def test_an_untrained_network_is_near_the_mean_of_its_shortcuts(output, scaling):
    network = make(shortcut=[24, 48], output=output, scaling=scaling)
    context, observed, known = make_batch()
    median = network(context, observed, known)[..., 1]
    day, two_days = (
        seasonal_shortcut(context * observed, observed, season, HORIZON, torch.zeros(4, 1)) for season in (24, 48)
    )
    size = window_scale(context * observed, observed, scaling).size
    share = torch.sigmoid(torch.tensor(FIRST_SHARE))
    assert ((median - torch.lerp(two_days, day, share)).abs() < 0.3 * size).all()


def test_the_weights_of_the_shortcuts_are_learnt():
    """Where today is as two days ago and not as yesterday, that is what the network comes to go by."""
    network = make("feedforward", shortcut=[24, 48], dropout=0).train()
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    generator = torch.Generator().manual_seed(0)
    observed, known = torch.ones(256, CONTEXT, dtype=torch.bool), torch.zeros(256, CONTEXT + HORIZON, KNOWN)
    for _ in range(150):
        context = torch.randn(256, CONTEXT, generator=generator)
        output, frame = network.scaled(context, observed, known)
        target = network.in_units_of_output(context[:, :HORIZON], frame)
        optimizer.zero_grad()
        network.head.error(output, target, torch.ones_like(target)).mean().backward()
        optimizer.step()
    _, frame = network.scaled(context, observed, known)
    assert (frame.base - context[:, :HORIZON]).abs().mean() < 0.5 * (
        context[:, 24 : 24 + HORIZON] - context[:, :HORIZON]
    ).abs().mean()


def test_every_shortcut_is_read():
    network = make(shortcut=[1, 24, 48]).double()
    context, observed, known = make_batch()
    context, known = context.double().requires_grad_(), known.double()
    wanted = network.decoder[0].weight
    network.scaled(context, torch.ones_like(observed), known)[0].sum().backward()
    columns = wanted.grad[:, network.head.linear.in_features :]
    assert (columns[:, : 3 * HORIZON].abs().sum(0) > 0).all()


def test_the_recurrence_starts_orthogonal_with_open_forget_gates():
    recurrence = make("lstm", num_layers=2).encoder.recurrence
    for gate in torch.cat((recurrence.weight_hh_l0, recurrence.weight_hh_l1)).split(8):
        torch.testing.assert_close(gate @ gate.T, torch.eye(8), atol=1e-5, rtol=0)
    for layer in ("l0", "l1"):
        bias = getattr(recurrence, f"bias_ih_{layer}") + getattr(recurrence, f"bias_hh_{layer}")
        assert bias.tolist() == [0] * 8 + [1] * 8 + [0] * 16


@pytest.mark.parametrize("kind", KINDS)
def test_options_reach_the_layers(kind):
    small = make(kind, hidden_size=8, num_layers=1, dropout=0.0)
    large = make(kind, hidden_size=16, num_layers=3, dropout=0.4)

    def dropouts(network):
        recurrent = [module.dropout for module in network.modules() if isinstance(module, nn.RNNBase)]
        return recurrent + [module.p for module in network.modules() if isinstance(module, nn.Dropout)]

    assert set(dropouts(small)) == {0.0}
    assert set(dropouts(large)) == {0.4}
    if kind == "feedforward":
        widths = [module.out_features for module in large.encoder.modules() if isinstance(module, nn.Linear)]
        assert widths == [16, 16, 16]
    else:
        if kind == "cnn":
            convolutions = [module for module in large.encoder.modules() if isinstance(module, nn.Conv1d)]
            assert [(one.out_channels, one.dilation) for one in convolutions] == [
                (16, (dilation,)) for dilation in (1, 1, 2, 2, 4, 4)
            ]
        else:
            recurrence = large.encoder.recurrence
            assert type(recurrence) is {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[kind]
            assert (recurrence.hidden_size, recurrence.num_layers) == (16, 3)
        patched, plain = make(kind, patch_length=24), make(kind, patch_length=1)
        assert patched.encoder.embedding.in_features == 24 * plain.encoder.embedding.in_features
    batch = make_batch()
    large.train()
    assert not torch.equal(large(*batch), large(*batch))  # dropout drops
    small.train()
    assert torch.equal(small(*batch), small(*batch))


def test_scaling_and_shortcut_change_the_forecast():
    batch = make_batch()
    outputs = [make(scaling=s, shortcut=c)(*batch) for s in ("standard", "mean-abs") for c in (0, 1, 24)]
    for i, one in enumerate(outputs):
        assert not any(torch.allclose(one, other) for other in outputs[:i])


@pytest.mark.parametrize("kind", KINDS)
def test_known_features_of_past_and_future_matter(kind):
    network = make(kind)
    context, observed, known = make_batch()
    for step in (0, CONTEXT - 1, CONTEXT, CONTEXT + HORIZON - 1):
        changed = known.clone()
        changed[:, step] += 1
        assert not torch.equal(network(context, observed, changed), network(context, observed, known)), step


@pytest.mark.parametrize("kind", KINDS)
def test_the_log_transform_forecasts_in_the_units_of_the_data(kind):
    context, observed, known = make_batch()
    positive = 1000 * context.abs().exp()
    network = make(kind, transform="log", shortcut=24)
    quantiles = network(positive, observed, known)
    assert (quantiles.diff(dim=-1) > 0).all()
    inside = (quantiles[..., 1] > 0.05 * positive.amin()) & (quantiles[..., 1] < 20 * positive.amax())
    assert inside.all()
    target = quantiles[..., 1]
    output, frame = network.scaled(positive, observed, known)
    torch.testing.assert_close(network.in_units_of_output(target, frame), output[..., 1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 7.0, -7.0, 1e30, 1e-30])
def test_a_constant_series_stays_constant_under_the_log_transform(value):
    context = torch.full((1, CONTEXT), value)
    quantiles = make(transform="log")(
        context, torch.ones(1, CONTEXT, dtype=torch.bool), torch.rand(1, CONTEXT + HORIZON, KNOWN)
    )
    torch.testing.assert_close(quantiles, torch.full_like(quantiles, value), rtol=1e-4, atol=0)
