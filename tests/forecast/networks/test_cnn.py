import pytest
import torch
from torch.nn import functional as F

from forecast.networks.cnn import ConvolutionalEncoder, layers_to_see

SIZE = 3


def make(num_layers=3, activation="gelu", dropout=0.0):
    torch.manual_seed(0)
    return ConvolutionalEncoder(SIZE, 8, num_layers, dropout, activation).eval().double()


def patches(number, size=2):
    return torch.randn(size, number, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("changed", [0, 7, 18, 19])
def test_a_later_state_never_changes_an_earlier_one(changed):
    block, read = make().blocks[0], torch.randn(2, 20, 8, dtype=torch.float64)
    other = read.clone()
    other[:, changed] += 1
    with torch.no_grad():
        same = (block(other) == block(read)).all(-1)
    assert same[:, :changed].all()
    assert not same[:, changed : changed + 3].any()  # itself and all that look back at it


@pytest.mark.parametrize(("num_layers", "field"), [(1, 3), (2, 7), (3, 15), (4, 31)])
def test_the_receptive_field_is_what_the_code_depends_on(num_layers, field):
    encoder = make(num_layers)
    read = patches(40).requires_grad_()
    encoder(read).square().sum().backward()
    reached = (read.grad != 0).any(-1).any(0).nonzero().flatten().tolist()
    assert reached == list(range(40 - field, 40))
    assert encoder.receptive_field == field


@pytest.mark.parametrize(("num_patches", "layers"), [(1, 1), (3, 1), (4, 2), (7, 2), (8, 3), (14, 3), (336, 8)])
def test_as_few_blocks_as_see_everything(num_patches, layers):
    assert layers_to_see(num_patches) == layers


@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("number", [1, 2, 5, 6, 14])
def test_the_convolutions_are_what_they_say(num_layers, number):
    """Every state worked out by hand: x + f(f(x)), from the patch and the one a dilation before."""
    encoder, read = make(num_layers, activation="tanh"), patches(number)
    states = encoder.embedding(read)
    for exponent, block in enumerate(encoder.blocks):
        before, mixed = states, states
        for conv in (block.layers[0], block.layers[3]):
            past = F.pad(mixed, (0, 0, 2**exponent, 0))[:, :number]
            mixed = torch.tanh(past @ conv.weight[..., 0].T + mixed @ conv.weight[..., 1].T + conv.bias)
        states = before + mixed
    for end in range(1, number + 1):  # the code of so many patches is the state after them
        torch.testing.assert_close(encoder(read[:, :end]), states[:, end - 1])


def test_the_states_are_torchs_own_convolution():
    convolution = make(1).blocks[0].layers[0]
    states = torch.randn(2, 6, 8, dtype=torch.float64)
    expected = F.conv1d(F.pad(states.transpose(1, 2), (1, 0)), convolution.weight, convolution.bias).transpose(1, 2)
    torch.testing.assert_close(convolution(states), expected)
