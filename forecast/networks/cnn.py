"""The convolutional encoder: dilated causal convolutions over the patches.

Dilations that double from block to block are WaveNet's (van den Oord et al. 2016, arXiv 1609.03499); the
residual blocks of two convolutions are those of the temporal convolutional network (Bai et al. 2018,
arXiv 1803.01271), without its weight normalisation and with nothing on the residual path (He et al. 2016,
arXiv 1603.05027). Only the states that the last one depends on are computed.
"""

from itertools import count

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forecast.networks.activation import activated

KERNEL = 2  # states a convolution looks at: itself and one before


class ConvolutionalEncoder(nn.Module):
    """Patches are embedded, then convolved with those before them; the last state is the code.

    Args:
        patch_size: Features F of a patch.
        hidden_size: Channels D.
        num_layers: Residual blocks; block i has dilation 2^i.
        dropout: Share of units dropped after each convolution.
        activation: What follows each convolution.
    """

    def __init__(self, patch_size: int, hidden_size: int, num_layers: int, dropout: float, activation: str) -> None:
        super().__init__()
        self.embedding = nn.Linear(patch_size, hidden_size)
        self.blocks = nn.ModuleList(_Block(hidden_size, 2**i, dropout, activation) for i in range(num_layers))

    def forward(self, patches: Tensor) -> Tensor:
        """`(B, N, F) -> (B, D)`."""
        states: Tensor = self.embedding(patches)
        for block in self.blocks:
            states = block(states)
            # The last state of all depends on every second of these alone: they are the next block's, a dilation apart.
            states = states[:, (states.shape[1] - 1) % 2 :: 2]
        return states[:, -1]

    @property
    def receptive_field(self) -> int:
        """Patches that the last state depends on."""
        return patches_seen(len(self.blocks))


def patches_seen(num_layers: int) -> int:
    """Patches that the last state of so many blocks depends on."""
    return 1 + 2 * (KERNEL - 1) * ((1 << num_layers) - 1)


def layers_to_see(num_patches: int) -> int:
    """The fewest blocks that see so many patches."""
    return next(layers for layers in count(1) if patches_seen(layers) >= num_patches)


class _Block(nn.Module):
    """`x + f(f(x))`, where f is a causal convolution, its activation and dropout."""

    def __init__(self, size: int, dilation: int, dropout: float, activation: str) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *activated(_CausalConv(size, dilation), activation),
            nn.Dropout(dropout),
            *activated(_CausalConv(size, dilation), activation),
            nn.Dropout(dropout),
        )

    def forward(self, states: Tensor) -> Tensor:
        """`(B, N, D) -> (B, N, D)`, of states a dilation apart."""
        mixed: Tensor = self.layers(states)
        return states + mixed


class _CausalConv(nn.Conv1d):
    """A convolution of each state with the one a dilation before it, and with nothing at the beginning.

    It is computed as a product of matrices, which over a few states takes half as long as torch's convolution.
    """

    def __init__(self, size: int, dilation: int) -> None:
        super().__init__(size, size, KERNEL, dilation=dilation)

    def forward(self, states: Tensor) -> Tensor:
        """`(B, N, D) -> (B, N, D)`, of states a dilation apart."""
        before = F.pad(states, (0, 0, 1, 0))[:, :-1]
        return F.linear(torch.cat((before, states), dim=-1), self.weight.transpose(1, 2).flatten(1), self.bias)
