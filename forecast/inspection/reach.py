"""What each step ahead rests on: the forecast's derivative with respect to each value of the history."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from forecast.inspection.looking import look_at, median_place, thinned
from forecast.inspection.results import Floats, Ints, Result, grid
from forecast.networks import Network
from forecast.windows import Batch

WINDOWS = 16  # enough for a steady picture
ROWS_AT_ONCE = 2048  # windows times horizon in one pass
HELD = 0.9  # of all connectivity: what lies within the effective memory


@dataclass(frozen=True)
class Connectivity(Result):
    """`|d yhat_{T+h} / d x_t|` as a map of horizon against history (after Madsen 2019, doi 10.23915/distill.00016).

    Attributes:
        total: `(H, L)` of the median, the mean over windows; the oldest value first. In units of the data over units
            of the data: 1 passes a change on as it is. Through everything: shortcuts, scale and encoder.
        encoder: `(H, L)` through the encoder alone, in units of the window's scale on both sides.
    """

    total: Floats
    encoder: Floats

    @property
    def memory(self) -> int:
        """The encoder's effective memory: the fewest latest steps that hold nine tenths of its connectivity.

        0 where the encoder's input changes nothing.
        """
        return _memory(self.encoder.sum(0))

    @property
    def total_memory(self) -> int:
        """The same of the whole network."""
        return _memory(self.total.sum(0))

    @property
    def lags(self) -> Ints:
        """`(L,)` time steps before the origin: the latest value has lag 1."""
        return np.arange(self.total.shape[1], 0, -1, dtype=np.int64)

    def summary(self) -> dict[str, Any]:
        strongest = int(self.lags[self.total.sum(0).argmax()])
        return {
            "context": self.total.shape[1],
            "memory": self.memory,
            "total_memory": self.total_memory,
            "strongest_lag": strongest,
        }

    def table(self) -> pd.DataFrame:
        """`lead_time, lag, total, encoder`."""
        frame = grid(self.total, "total", ("lead_time", np.arange(1, len(self.total) + 1)), ("lag", self.lags))
        return frame.assign(encoder=self.encoder.ravel())


def connectivity(network: Network, batch: Batch, count: int = WINDOWS) -> Connectivity:
    """How much the median of each step ahead changes with each value of the history.

    Each window is read H times in one batch, once for each step ahead, so that a single pass back gives all
    derivatives at once.

    Args:
        network: One network.
        batch: B windows.
        count: How many of them at the most, evenly taken: each is read H times.
    """
    look = look_at(network, thinned(batch, count), unroll=False)
    horizon = network.prediction_length
    total = torch.zeros(horizon, network.context_length)
    encoder = torch.zeros_like(total)
    size = max(1, ROWS_AT_ONCE // horizon)
    for part in zip(*(torch.split(one, size) for one in look.batch), strict=True):
        total += _derivative(look.network, Batch(*part), through_encoder=False)
        encoder += _derivative(look.network, Batch(*part), through_encoder=True)
    windows = max(len(look.batch.context), 1)
    return Connectivity((total / windows).numpy(), (encoder / windows).numpy())


def _derivative(network: Network, batch: Batch, through_encoder: bool) -> Tensor:
    """Sums over windows of absolute derivatives `(H, L)`."""
    horizon, windows = network.prediction_length, len(batch.context)
    context, observed, known, static = (
        part.repeat_interleave(horizon, 0) for part in (batch.context, batch.observed, batch.known, batch.static)
    )
    lead_time = torch.arange(horizon).repeat(windows)
    rows = torch.arange(len(lead_time))
    if through_encoder:
        entered = _EncoderInput(network.encoder)
        output, _ = network.scaled(context, observed, known, static)
        entered.remove()
        median = network.head.quantiles(output)[rows, lead_time, median_place(network)]
        (gradient,) = torch.autograd.grad(median.sum(), entered.patches)
        # Of what a patch holds at each step, the first is the value.
        gradient = gradient.view(len(rows), context.shape[1], -1)[..., 0]
    else:
        context.requires_grad_()
        median = network(context, observed, known, static)[rows, lead_time, median_place(network)]
        (gradient,) = torch.autograd.grad(median.sum(), context)
    return gradient.abs().masked_fill(~observed, 0).view(windows, horizon, -1).sum(0)


class _EncoderInput:
    """Cuts what enters an encoder off from what it was made of, so that derivatives go through the encoder alone."""

    patches: Tensor

    def __init__(self, encoder: nn.Module) -> None:
        self._handle = encoder.register_forward_pre_hook(self._cut)

    def _cut(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        self.patches = inputs[0].detach().requires_grad_()
        return (self.patches,)

    def remove(self) -> None:
        self._handle.remove()


def _memory(by_step: Floats) -> int:
    """The fewest latest steps that hold their share, of `(L,)` with the oldest first."""
    from_latest = by_step[::-1].astype(np.float64).cumsum()
    if not from_latest[-1] > 0:
        return 0
    return int(np.searchsorted(from_latest, HELD * from_latest[-1] * (1 - 1e-9)) + 1)
