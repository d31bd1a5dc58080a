import pytest
import torch

from forecast.networks.cnn import ConvolutionalEncoder, layers_to_see

SIZE = 3


def make(num_layers=3, activation="gelu", dropout=0.0):
    torch.manual_seed(0)
    return ConvolutionalEncoder(SIZE, 8, num_layers, dropout, activation).eval().double()


def patches(number, size=2):
    return torch.randn(size, number, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("changed", [0, 7, 18, 19])
def test_a_later_patch_never_changes_an_earlier_state(changed):
    encoder, read = make(), patches(20)
    other = read.clone()
    other[:, changed] += 1
    same = (encoder.states(other) == encoder.states(read)).all(-1)
    assert same[:, :changed].all()
    reached = same[:, changed : changed + encoder.receptive_field]
    assert not reached.any()  # itself and all that look back at it


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


def test_the_convolutions_are_what_they_say():
    """A block worked out by hand, patch by patch: x + f(f(x)), from the patch and the one a dilation before."""
    encoder = make(num_layers=2, activation="tanh")
    states = encoder.embedding(patches(6))
    for dilation, block in zip((1, 2), encoder.blocks, strict=True):
        before, mixed = states, states
        for conv in (block.layers[0], block.layers[3]):
            past = torch.cat((torch.zeros_like(mixed[:, :dilation]), mixed[:, :-dilation]), dim=1)
            mixed = torch.tanh(past @ conv.weight[..., 0].T + mixed @ conv.weight[..., 1].T + conv.bias)
        states = before + mixed
    torch.testing.assert_close(encoder.states(patches(6)), states)
    torch.testing.assert_close(encoder(patches(6)), states[:, -1])
