import pytest
import torch
from torch import nn

from forecast.networks.activation import ACTIVATIONS, activated
from tests.forecast.networks.test_network import make, make_batch

MODULES = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "gelu": nn.GELU}


def activations_of(module):
    return [type(one) for one in module.modules() if type(one) in MODULES.values()]


@pytest.mark.parametrize("activation", MODULES)
@pytest.mark.parametrize(("kind", "in_encoder"), [("feedforward", 3), ("cnn", 6), ("gru", 0), ("lstm", 0)])
def test_it_is_in_every_layer_that_has_one(kind, in_encoder, activation):
    network = make(kind, num_layers=3, activation=activation)
    assert activations_of(network.encoder) == [MODULES[activation]] * in_encoder
    assert activations_of(network.decoder) == [MODULES[activation]]


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_plain_rnn_has_it_in_its_recurrence_and_its_decoder(activation):
    network = make("rnn", activation=activation)
    assert network.encoder.recurrence.nonlinearity == activation
    assert activations_of(network.decoder) == [MODULES[activation]]


@pytest.mark.parametrize("kind", ["feedforward", "cnn", "rnn", "gru", "lstm"])
def test_left_out_it_is_relu_and_tanh_inside_an_rnn(kind):
    network = make(kind)
    assert set(activations_of(network)) == {nn.ReLU}
    if kind == "rnn":
        assert network.encoder.recurrence.nonlinearity == "tanh"


@pytest.mark.parametrize("kind", ["feedforward", "cnn", "gru", "lstm"])
def test_each_gives_another_forecast_with_the_same_weights(kind):
    batch, networks = make_batch(), [make(kind, activation=activation) for activation in MODULES]
    for network in networks:
        network.load_state_dict(networks[0].state_dict())
    forecasts = [network(*batch) for network in networks]
    for i, one in enumerate(forecasts):
        assert not any(torch.allclose(one, other) for other in forecasts[:i])


@pytest.mark.parametrize("activation", MODULES)
def test_a_signal_and_its_gradient_pass_through_many_layers(activation):
    torch.manual_seed(0)
    layers = nn.Sequential(*(part for _ in range(4) for part in activated(nn.Linear(256, 256), activation)))
    inputs = torch.randn(64, 256, requires_grad=True)
    outputs = layers(inputs)
    (outputs * torch.randn_like(outputs)).sum().backward()
    assert outputs.std(0).mean() > 0.005
    assert inputs.grad.std() > 0.005


def test_a_relu_recurrence_starts_as_the_identity():
    recurrence = make("rnn", activation="relu").encoder.recurrence
    assert torch.equal(recurrence.weight_hh_l0, torch.eye(8))


def test_there_is_a_module_for_every_name():
    assert ACTIVATIONS == MODULES
