"""Activations, and the initial weights that suit them."""

from torch import nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
}
GAINS = {"sigmoid": 4.0, "tanh": 1.0}  # one over the slope at 0


def activated(layer: nn.Linear | nn.Conv1d, activation: str) -> tuple[nn.Module, nn.Module]:
    """A layer and the activation that follows it.

    Layers before a sigmoid or tanh get weights under which a signal near 0 keeps its size on the way in
    and back (Glorot and Bengio 2010); without them, a few sigmoids in a row pass on next to nothing. For
    relu and gelu torch's own weights do.
    """
    if activation in GAINS:
        nn.init.xavier_uniform_(layer.weight, GAINS[activation])
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer, ACTIVATIONS[activation]()
