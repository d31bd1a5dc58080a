"""The feedforward encoder: all patches at once through fully connected layers."""

from torch import Tensor, nn

from forecast.networks.activation import activated


class FeedforwardEncoder(nn.Module):
    """Fully connected layers over the flattened patches.

    Args:
        num_patches: Patches N of a window.
        patch_size: Features F of a patch.
        hidden_size: Units D of each layer.
        num_layers: Hidden layers.
        dropout: Share of units dropped after each.
        activation: What follows each.
    """

    def __init__(
        self, num_patches: int, patch_size: int, hidden_size: int, num_layers: int, dropout: float, activation: str
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        width = num_patches * patch_size
        for _ in range(num_layers):
            layers += [*activated(nn.Linear(width, hidden_size), activation), nn.Dropout(dropout)]
            width = hidden_size
        self.layers = nn.Sequential(*layers)

    def forward(self, patches: Tensor) -> Tensor:
        """`(B, N, F) -> (B, D)`."""
        code: Tensor = self.layers(patches)
        return code
