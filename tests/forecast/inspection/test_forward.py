import numpy as np
import pytest
import torch
from torch import nn

from forecast import inspection
from forecast.inspection.cells import UnrolledRecurrence
from forecast.inspection.units import season_of
from forecast.networks.recurrent import CELLS


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_cells_written_out_give_what_the_fused_ones_give(kind, dtype, tolerance, activation):
    torch.manual_seed(0)
    options = {"nonlinearity": activation} if kind == "rnn" else {}
    fused = CELLS[kind](5, 7, num_layers=3, batch_first=True, **options).to(dtype)
    inputs = torch.randn(4, 11, 5, dtype=dtype)
    unrolled = UnrolledRecurrence(fused)
    found, _ = unrolled(inputs)
    expected, last = fused(inputs)
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=0)
    if kind == "lstm":
        cells = torch.stack([trace.cell[-1] for trace in unrolled.traces])
        torch.testing.assert_close(cells, last[1], atol=tolerance, rtol=0)


def test_every_layer_answers_under_its_name(make, kind):
    network, _, batch = make(kind, num_layers=2)
    seen = inspection.activations(network, batch)
    with torch.no_grad():
        expected = network(batch.context, batch.observed, batch.known, batch.static)
    np.testing.assert_allclose(seen.quantiles, expected.numpy(), rtol=1e-6)
    modules = dict(network.named_modules())
    assert all(name in modules for name in (layer.name for layer in seen.layers))
    decoded = seen["decoder.0"].values
    np.testing.assert_allclose(seen["decoder.1"].values, np.maximum(decoded, 0))
    assert {layer.values.shape[-1] for layer in seen.layers if layer.name.startswith("encoder")} == {8}


def test_looking_changes_nothing(make, kind):
    network, config, batch = make(kind)
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    random = torch.get_rng_state()
    inspection.inspect_network(network, batch, batch, config)
    inspection.attribution(network, batch)
    inspection.loss_landscape(network, batch, points=3)
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(weight.grad is None for weight in network.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_states_are_those_of_the_network_and_obey_their_equations(make, kind):
    network, _, batch = make(kind)
    (state,) = inspection.states(network, batch)
    np.testing.assert_allclose(state.hidden[:, -1], inspection.codes(network, batch), atol=1e-6)
    assert state.patch_length == 24
    assert state.hidden.shape == (len(batch.context), 7, 8)
    gates = state.gates
    before = np.pad(state.cell, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    if kind == "lstm":
        np.testing.assert_allclose(
            state.cell, gates["forget"] * before + gates["input"] * gates["candidate"], atol=1e-6
        )
        np.testing.assert_allclose(state.hidden, gates["output"] * np.tanh(state.cell), atol=1e-6)
    else:
        np.testing.assert_allclose(
            state.hidden, (1 - gates["update"]) * gates["candidate"] + gates["update"] * before, atol=1e-6
        )


@pytest.mark.parametrize("kind", ["feedforward", "cnn"])
def test_a_network_without_recurrence_has_no_states(make, kind):
    network, _, batch = make(kind)
    for found in (
        inspection.states(network, batch),
        inspection.state_gradients(network, batch),
        inspection.recurrent_spectrum(network, batch),
    ):
        assert found == ()


def test_dead_and_saturated_units_are_counted(make):
    network, _, batch = make("feedforward")
    with torch.no_grad():
        network.decoder[0].bias[:3] = -1e4
    health = {one.layer: one for one in inspection.unit_health(network, inspection.activations(network, batch), ())}
    assert health["decoder.1"].dead[:3].all()
    assert health["decoder.1"].summary()["dead_share"] >= 3 / 8
    network, _, batch = make("rnn")
    with torch.no_grad():
        network.encoder.recurrence.bias_ih_l0[:] = 0
        network.encoder.recurrence.bias_ih_l0[0] = 50
    done = inspection.states(network, batch)
    (tanh,) = [
        one
        for one in inspection.unit_health(network, inspection.activations(network, batch), done)
        if one.activation == "tanh"
    ]
    assert tanh.saturated[0] == 1
    assert tanh.saturated[1:].mean() < 0.5
    by_hand = (np.abs(done[0].hidden) > 0.95).mean((0, 1))
    np.testing.assert_array_equal(tanh.saturated, by_hand)


def test_gates_and_forget_times_by_hand(make):
    network, _, batch = make("lstm")
    recurrence = network.encoder.recurrence
    with torch.no_grad():
        recurrence.weight_ih_l0.zero_()
        recurrence.weight_hh_l0.zero_()
        recurrence.bias_ih_l0[:8] = -5  # the input gate: sigmoid(-5) = 0.0067
        recurrence.bias_ih_l0[8:16] = torch.logit(torch.tensor(0.95))  # the forget gate
    done = inspection.states(network, batch)
    health = {one.gate: one for one in inspection.gate_health(done)}
    assert set(health) == {"input", "forget", "output"}
    assert health["input"].left.tolist() == [1] * 8
    assert health["forget"].right.tolist() == [1] * 8
    assert health["output"].left.tolist() == health["output"].right.tolist() == [0] * 8
    (times,) = inspection.forget_times(network, done)
    np.testing.assert_allclose(times.steps, 24 * -1 / np.log(0.95), rtol=1e-4)
    assert times.season == 168


def test_a_gru_keeps_by_its_update_gate(make):
    network, _, batch = make("gru")
    recurrence = network.encoder.recurrence
    with torch.no_grad():
        for weight in recurrence.parameters():
            weight.zero_()
        recurrence.bias_ih_l0[8:16] = torch.logit(torch.tensor(0.8))
    (times,) = inspection.forget_times(network, inspection.states(network, batch))
    np.testing.assert_allclose(times.steps, 24 * -1 / np.log(0.8), rtol=1e-4)


@pytest.mark.parametrize("shown", [1, 2, 5])
def test_effective_dimension_counts_directions(shown):
    random = np.random.default_rng(0)
    states = random.normal(size=(20_000, shown)) @ np.linalg.qr(random.normal(size=(8, 8)))[0][:shown]
    assert inspection.effective_dimension(states) == pytest.approx(shown, rel=0.01)
    assert inspection.effective_dimension(np.ones((5, 3, 2))) == 0


def test_effective_dimension_is_the_participation_ratio():
    states = np.random.default_rng(0).normal(size=(50, 6, 4)) * [1, 2, 3, 4]
    eigenvalues = np.linalg.eigvalsh(np.cov(states.reshape(-1, 4).T))
    assert inspection.effective_dimension(states) == pytest.approx(eigenvalues.sum() ** 2 / (eigenvalues**2).sum())


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_receptive_field_is_what_changes_the_code(make, layers):
    network, _, _ = make("cnn", num_layers=layers, patch_length=12)
    patches = torch.randn(1, 14, network.encoder.embedding.in_features, requires_grad=True)
    network.encoder(patches).sum().backward()
    seen = int((patches.grad[0].abs().sum(-1) > 0).sum())
    assert inspection.receptive_field(network).steps == 12 * seen


def test_a_kernel_that_averages_passes_what_is_slow_and_stops_what_is_fast(make):
    network, _, _ = make("cnn", num_layers=2)
    convolution = network.encoder.blocks[1].layers[0]
    with torch.no_grad():
        convolution.weight.zero_()
        convolution.weight[range(8), range(8)] = 0.5  # each channel: the mean of two patches, two apart
    response = next(one for one in inspection.frequency_responses(network) if one.layer == "encoder.blocks.1.layers.0")
    np.testing.assert_allclose(response.gain, np.abs(np.cos(np.pi * response.frequency * 48)), atol=1e-7)
    assert response.frequency[-1] == pytest.approx(1 / 96)
    assert response.gain[-1] == pytest.approx(0, abs=1e-7)


def test_an_embedding_that_looks_for_a_half_day_responds_to_it(make):
    network, _, _ = make("cnn")
    embedding = network.encoder.embedding
    with torch.no_grad():
        embedding.weight.zero_()
        embedding.weight.view(8, 24, -1)[..., 0] = torch.cos(2 * torch.pi * torch.arange(24) / 12)
    response = inspection.frequency_responses(network)[0]
    assert response.layer == "encoder.embedding"
    assert response.summary()["peak_period"] == pytest.approx(12, rel=0.1)


def test_the_season_is_the_longest_shortcut_that_is_not_one_doubled():
    class Shown(nn.Module):
        shortcuts = (168, 24, 48, 336)

    assert season_of(Shown()) == 168
    Shown.shortcuts = (0,)
    assert season_of(Shown()) == 1
    Shown.shortcuts = (1, 12, 24)
    assert season_of(Shown()) == 12
