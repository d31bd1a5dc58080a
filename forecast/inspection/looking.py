"""A copy of a network for looking at: the one in use is never touched, and several threads may look at once."""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import nn

from forecast.inspection.cells import UnrolledRecurrence
from forecast.networks import Network
from forecast.networks.recurrent import RecurrentEncoder
from forecast.windows import Batch


@dataclass(frozen=True)
class Look:
    """A network to look at and the windows it reads.

    Attributes:
        network: A copy, in evaluation mode.
        batch: The windows, cut to the network's own context.
        recurrence: Where each step of the recurrence is found after a forward pass; None without one.
    """

    network: Network
    batch: Batch
    recurrence: UnrolledRecurrence | None


def look_at(network: Network, batch: Batch, precise: bool = False, unroll: bool = True) -> Look:
    """Copy a network for looking.

    Args:
        network: The network; not changed.
        batch: Windows with a context as long as the network's or longer (a member of an ensemble reads the end of
            it), and its horizon.
        precise: Whether to look in 64-bit floats: products of many small numbers vanish in 32.
        unroll: Whether a recurrence is replaced by the one that shows each step, which is slower.
    """
    copy = deepcopy(network).cpu().eval().requires_grad_(True)
    skip = batch.context.shape[1] - network.context_length
    batch = batch._replace(
        context=batch.context[:, skip:], observed=batch.observed[:, skip:], known=batch.known[:, skip:]
    )
    if precise:
        copy = copy.double()
        batch = Batch(*(part.double() if part.is_floating_point() else part for part in batch))
    recurrence = None
    if unroll and isinstance(copy.encoder, RecurrentEncoder):
        recurrence = UnrolledRecurrence(copy.encoder.recurrence)
        copy.encoder.recurrence = recurrence
    return Look(copy, batch, recurrence)


def run(look: Look) -> torch.Tensor:
    """A forward pass: `(B, H, Q)` quantiles in the units of the data."""
    quantiles: torch.Tensor = look.network(look.batch.context, look.batch.observed, look.batch.known, look.batch.static)
    return quantiles


def median_place(network: Network) -> int:
    """Which of the network's quantiles is the median."""
    return int((network.head.levels - 0.5).abs().argmin())


def thinned(batch: Batch, count: int) -> Batch:
    """So many of a batch's windows at the most, evenly taken."""
    windows = len(batch.context)
    kept = torch.linspace(0, max(windows - 1, 0), min(count, windows), dtype=torch.float64).round().long()
    return Batch(*(part[kept] for part in batch))


def recurrence_of(network: Network) -> nn.RNNBase | None:
    """Torch's recurrence of a network that has one."""
    return network.encoder.recurrence if isinstance(network.encoder, RecurrentEncoder) else None
