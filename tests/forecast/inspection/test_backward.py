import numpy as np
import pytest
import torch

from forecast import inspection
from forecast.inspection.gradients import decay_per_step, half_life
from forecast.loss import batch_loss
from forecast.windows import Batch

STEPS = 7  # of the recurrence: 168 hours in days


def linear_recurrence(network, a):
    """Make a relu RNN compute h_t = a h_{t-1} + x_t, with inputs so large that relu never bends."""
    encoder = network.encoder
    with torch.no_grad():
        for weight in encoder.recurrence.parameters():
            weight.zero_()
        encoder.recurrence.weight_hh_l0[:] = a * torch.eye(8)
        encoder.recurrence.weight_ih_l0[:] = torch.eye(8)
        encoder.embedding.bias[:] = 1000
    return network


@pytest.mark.parametrize("a", [0.3, 0.9, 1.0, 1.1, -0.5])
def test_in_a_linear_recurrence_the_gradient_at_lag_k_is_a_to_the_k(make, a):
    network, _, batch = make("rnn", activation="relu")
    (found,) = inspection.state_gradients(linear_recurrence(network, a), batch)
    lag = np.arange(STEPS)[::-1]
    np.testing.assert_allclose(found.norm / found.norm[-1], np.abs(a) ** lag, rtol=1e-6)
    assert found.decay == pytest.approx(abs(a), rel=1e-6)
    expected = 24 * np.log(2) / -np.log(abs(a)) if abs(a) < 1 else np.inf
    if a != 1:  # at 1 rounding decides whether it shrinks
        assert found.half_life == pytest.approx(expected, rel=1e-6)
    assert found.reach == pytest.approx(abs(a) ** (STEPS - 1), rel=1e-6)
    np.testing.assert_allclose(found.table()["lag"], 24 * lag)


def test_decay_and_half_life_of_what_has_none():
    assert np.isnan(decay_per_step(np.zeros(5)))
    assert np.isnan(decay_per_step(np.ones(1)))
    assert np.isnan(half_life(np.nan))
    assert decay_per_step(np.array([0, 0, 0.5, 1.0])) == pytest.approx(0.5)
    assert decay_per_step(np.array([0, 0, 1.0])) == 0
    assert half_life(0.0) == 0
    assert half_life(0.5) == pytest.approx(1)


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_state_gradients_by_finite_differences(make, kind):
    """Move one state by a little, let the recurrence go on from there, and see what the loss does."""
    from forecast.inspection.looking import look_at

    network, _, batch = make(kind)
    one = Batch(*(part[:1] for part in batch))
    (found,) = inspection.state_gradients(network, one)
    look = look_at(network, one, precise=True)
    cell, step, size = look.network.encoder.recurrence, 3, 1e-5
    original = type(cell).forward

    def moved(direction):
        # The recurrence from step 3 on, by hand, from a state moved along one unit.
        def forward(self, inputs):
            from forecast.inspection.cells import CELLS

            zero = inputs.new_zeros(1, 8)
            state, hidden = (zero, zero), []
            for number, x in enumerate(inputs.unbind(1)):
                state, _ = CELLS[self.fused.mode](x, state, self.fused, 0)
                if number == step:
                    moved_state = state[0] + direction
                    state = (moved_state, state[1]) if self.fused.mode == "LSTM" else (moved_state, moved_state)
                hidden.append(state[0])
            return torch.stack(hidden, 1), None

        type(cell).forward = forward
        try:
            with torch.no_grad():
                return float(batch_loss(look.network, look.batch, "window")[0])
        finally:
            type(cell).forward = original

    units = torch.eye(8, dtype=torch.float64) * size
    gradient = [(moved(unit) - moved(-unit)) / (2 * size) for unit in units]
    assert found.norm[step] == pytest.approx(np.linalg.norm(gradient), rel=1e-4)


def test_parameter_gradients_are_those_of_autograd(make, kind):
    network, _, batch = make(kind)
    found = inspection.parameter_gradients(network, batch)
    loss, _ = batch_loss(network, batch, "window")
    loss.backward()
    assert found.loss == pytest.approx(float(loss.detach()), rel=1e-5)
    for group, norm, weight in zip(found.groups, found.gradient_norm, found.weight_norm, strict=True):
        own = [one for name, one in network.named_parameters() if name.rpartition(".")[0] == group]
        assert norm == pytest.approx(float(sum(one.grad.square().sum() for one in own)) ** 0.5, rel=1e-3, abs=1e-9)
        assert weight == pytest.approx(float(sum(one.detach().square().sum() for one in own)) ** 0.5, rel=1e-5)


def test_connectivity_is_what_autograd_gives_step_by_step(make, kind):
    network, _, batch = make(kind)
    batch = Batch(*(part[:3] for part in batch))
    found = inspection.connectivity(network, batch)
    context = batch.context.clone().requires_grad_()
    median = network(context, batch.observed, batch.known, batch.static)[..., 6]
    for step in (0, 11, 23):
        (gradient,) = torch.autograd.grad(median[:, step].sum(), context, retain_graph=True)
        np.testing.assert_allclose(found.total[step], gradient.abs().mean(0), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("season", [24, 48, 168])
def test_connectivity_of_a_network_that_copies_a_season_peaks_there_and_is_0_elsewhere(make, season):
    network, _, batch = make("gru", shortcut=[season], transform="none")
    with torch.no_grad():
        network.head.linear.weight.zero_()
        network.head.linear.bias.zero_()
    found = inspection.connectivity(network, batch)
    expected = np.zeros((24, 168))
    expected[np.arange(24), 168 - season + np.arange(24)] = 1
    # The quantiles around the median do not matter to it, nor the scale: its output is 0.
    np.testing.assert_allclose(found.total, expected, atol=1e-6)
    np.testing.assert_allclose(found.encoder, 0, atol=1e-6)
    assert found.memory == 0


@pytest.mark.parametrize("lag", [1, 5, 24, 100, 168])
def test_connectivity_of_an_encoder_that_copies_the_value_k_steps_back_peaks_there(make, lag):
    network, _, batch = make("feedforward", activation="relu", shortcut=[0], transform="none")
    with torch.no_grad():
        for weight in (*network.encoder.parameters(), *network.decoder.parameters(), *network.head.parameters()):
            weight.zero_()
        step = 168 - lag
        first = network.encoder.layers[1]
        first.weight[0, step * (first.in_features // 168)] = 1  # the value at that step
        first.bias[0] = 100  # far from where relu bends
        network.decoder[0].weight[0, 0] = 1
        network.head.linear.weight.view(24, 13, 8)[:, 6, 0] = 1
    found = inspection.connectivity(network, batch)
    expected = np.zeros((24, 168))
    expected[:, step] = 1
    np.testing.assert_allclose(found.encoder, expected, atol=1e-6)
    assert found.memory == lag
    assert found.lags[found.encoder.sum(0).argmax()] == lag


def test_many_windows_are_read_piece_by_piece(make, monkeypatch):
    network, _, batch = make("lstm")
    whole = inspection.connectivity(network, batch)
    monkeypatch.setattr("forecast.inspection.reach.ROWS_AT_ONCE", 24 * 3)
    pieces = inspection.connectivity(network, batch)
    np.testing.assert_allclose(pieces.total, whole.total, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(pieces.encoder, whole.encoder, rtol=1e-4, atol=1e-7)


def test_the_spectrum_of_an_untrained_recurrence_lies_on_the_unit_circle(make):
    network, _, batch = make("lstm", num_layers=2)
    for found in inspection.recurrent_spectrum(network, batch):
        np.testing.assert_allclose(np.abs(found.matrix), 1, atol=1e-5)
        assert found.matrix.shape == (4, 8)
        assert found.jacobian.shape[1] == 16


@pytest.mark.parametrize("a", [0.5, 1.5])
def test_the_jacobian_of_a_linear_recurrence_is_its_matrix(make, a):
    network, _, batch = make("rnn", activation="relu")
    (found,) = inspection.recurrent_spectrum(linear_recurrence(network, a), batch)
    np.testing.assert_allclose(found.jacobian, a, rtol=1e-6)
    assert found.jacobian_radius == pytest.approx(a)
    assert found.matrix_radius == pytest.approx([a])


def test_the_jacobian_of_a_tanh_rnn_by_hand(make):
    network, _, batch = make("rnn")
    (found,) = inspection.recurrent_spectrum(network, batch)
    (state,) = inspection.states(network, batch)
    matrix = network.encoder.recurrence.weight_hh_l0.detach().numpy()
    last = np.diag(1 - state.hidden[-1, -1] ** 2) @ matrix  # the last point is the last window's last step
    np.testing.assert_allclose(
        np.sort(np.abs(found.jacobian[-1])), np.sort(np.abs(np.linalg.eigvals(last))), rtol=1e-4, atol=1e-5
    )
