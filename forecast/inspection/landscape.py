"""The loss around a network's weights. A curiosity: two directions out of many thousand are weak evidence."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from forecast.inspection.looking import look_at
from forecast.inspection.results import Floats, Result, grid
from forecast.loss import ErrorUnit, batch_loss
from forecast.networks import Network
from forecast.windows import Batch


@dataclass(frozen=True)
class Landscape(Result):
    """`L(w + a d + b e)` along two random directions as long, filter by filter, as the weights (Li et al. 2018).

    Attributes:
        along: `(P,)` the values of a and of b; 0 is the network itself.
        loss: `(P, P)` the first axis is a.
    """

    along: Floats
    loss: Floats

    @property
    def sharpness(self) -> float:
        """How much the loss rises on average one tenth of the weights' length away, as a share of the loss itself."""
        a, b = np.meshgrid(self.along, self.along, indexing="ij")
        distance, centre = np.hypot(a, b), self.loss[len(self.along) // 2, len(self.along) // 2]
        near = (distance > 0) & (distance <= max(0.1, np.diff(self.along)[0]) * 1.01)
        return float(self.loss[near].mean() / centre - 1)

    def summary(self) -> dict[str, Any]:
        middle = len(self.along) // 2
        return {"loss": float(self.loss[middle, middle]), "sharpness": self.sharpness}

    def table(self) -> pd.DataFrame:
        """`a, b, loss`."""
        return grid(self.loss, "loss", ("a", self.along), ("b", self.along))


def loss_landscape(
    network: Network,
    batch: Batch,
    error_unit: ErrorUnit = "window",
    points: int = 21,
    reach: float = 1.0,
    seed: int = 0,
) -> Landscape:
    """The loss of one batch over a square of weights around the network's own (arXiv 1712.09913).

    Each row of a matrix (a unit's weights, a convolution's filter) of a random direction is made as long as the
    network's own; biases do not move.

    Args:
        network: One network.
        batch: Windows with their targets.
        error_unit: As the network was trained with.
        points: P, odd, along each side.
        reach: Half the side, in lengths of the weights.
        seed: Of the directions.
    """
    look = look_at(network, batch, unroll=False)
    place = deepcopy(look.network)
    generator = torch.Generator().manual_seed(seed)
    own = [parameter.detach() for parameter in look.network.parameters()]
    first, second = ([_direction(weight, generator) for weight in own] for _ in range(2))
    along = np.linspace(-reach, reach, points | 1)
    loss = np.empty((len(along), len(along)))
    with torch.no_grad():
        for i, a in enumerate(along):
            for j, b in enumerate(along):
                for weight, here, d, e in zip(place.parameters(), own, first, second, strict=True):
                    weight.copy_(here + a * d + b * e)
                loss[i, j] = float(batch_loss(place, look.batch, error_unit)[0])
    return Landscape(along, loss)


def _direction(weight: Tensor, generator: torch.Generator) -> Tensor:
    """A random direction, filter by filter as long as the weights; 0 for biases."""
    if weight.dim() < 2:
        return torch.zeros_like(weight)
    drawn = torch.randn(weight.shape, generator=generator)
    axes = tuple(range(1, weight.dim()))
    size = drawn.square().sum(axes, keepdim=True).sqrt()
    own = weight.square().sum(axes, keepdim=True).sqrt()
    return drawn / size.clamp(min=1e-12) * own
