"""The convolutional encoder: dilated causal convolutions over the patches.

Dilations that double from block to block are WaveNet's (van den Oord et al. 2016, arXiv 1609.03499); the
residual blocks of two convolutions are those of the temporal convolutional network (Bai et al. 2018,
arXiv 1803.01271), without its weight normalisation and with nothing on the residual path (He et al. 2016,
arXiv 1603.05027).
"""

from itertools import count

from torch import Tensor, nn
from torch.nn import functional as F

from forecast.networks.activation import activated

KERNEL = 2  # patches a convolution looks at: itself and one before


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
        self.blocks = nn.Sequential(*(_Block(hidden_size, 2**i, dropout, activation) for i in range(num_layers)))

    def forward(self, patches: Tensor) -> Tensor:
        """`(B, N, F) -> (B, D)`."""
        return self.states(patches)[:, -1]

    def states(self, patches: Tensor) -> Tensor:
        """`(B, N, F) -> (B, N, D)`: what is known after each patch, whatever comes later."""
        states: Tensor = self.blocks(self.embedding(patches).transpose(1, 2))
        return states.transpose(1, 2)

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
        """`(B, D, N) -> (B, D, N)`."""
        mixed: Tensor = self.layers(states)
        return states + mixed


class _CausalConv(nn.Conv1d):
    """A convolution that is padded on the side of the past only."""

    def __init__(self, size: int, dilation: int) -> None:
        super().__init__(size, size, KERNEL, dilation=dilation)

    def forward(self, states: Tensor) -> Tensor:
        """`(B, D, N) -> (B, D, N)`."""
        return super().forward(F.pad(states, ((KERNEL - 1) * self.dilation[0], 0)))
