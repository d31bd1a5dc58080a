"""Output heads: what a network says about each step ahead, how wrong it was, and the quantiles read from it.

A head turns a code `(B, D)` into its output `(B, H, ...)`; `error` compares that with what came and
`quantiles` reads quantiles from it, all in units of the network's frame.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forecast.config import ForecasterConfig

HUBER_DELTA = 1.0
BINS, BIN_REACH, BIN_CORE = 100, 15.0, 0.1


class Head(nn.Module, ABC):
    """What the three kinds of output have in common.

    Attributes:
        levels: `(Q,)` the trained levels.
    """

    levels: Tensor

    @abstractmethod
    def error(self, output: Tensor, target: Tensor, unit: Tensor) -> Tensor:
        """How wrong each step is.

        Args:
            output: What `forward` returned.
            target: `(B, H)` what came.
            unit: `(B, H)` what an error of 1 counts.

        Returns:
            `(B, H)`.
        """

    @abstractmethod
    def quantiles(self, output: Tensor) -> Tensor:
        """The trained quantiles `(B, H, Q)`, ascending along the last axis."""


def build_head(config: ForecasterConfig, input_size: int) -> Head:
    """The head that a configuration asks for."""
    horizon, levels = config.prediction_length, config.quantile_levels
    if config.network.output == "mean":
        return MeanHead(input_size, horizon, levels, config.training.loss or "mae")
    if config.network.output == "bins":
        return BinsHead(input_size, horizon, levels)
    return QuantileHead(input_size, horizon, levels)


class QuantileHead(Head):
    """Quantiles that cannot cross: the median, and positive steps outwards from it. Trained on the pinball loss.

    Args:
        input_size: Width D of the input.
        prediction_length: Steps H forecast.
        levels: Q ascending levels, 0.5 among them.
    """

    def __init__(self, input_size: int, prediction_length: int, levels: Sequence[float]) -> None:
        super().__init__()
        self.prediction_length = prediction_length
        self.register_buffer("levels", torch.tensor(levels), persistent=False)
        self.middle = list(levels).index(0.5)
        self.linear = nn.Linear(input_size, prediction_length * len(levels))
        # Start near the quantiles of a standard normal: softplus(bias) is the normal's own spacing.
        normal = torch.special.ndtri(torch.tensor(levels, dtype=torch.float64))
        spacing = torch.diff(normal).expm1().log().float()
        bias = torch.cat((spacing[: self.middle], torch.zeros(1), spacing[self.middle :]))
        with torch.no_grad():
            self.linear.weight.mul_(0.1)
            self.linear.bias.copy_(bias.repeat(prediction_length))

    def forward(self, hidden: Tensor) -> Tensor:
        """`(B, D) -> (B, H, Q)`, ascending along the last axis."""
        raw = self.linear(hidden).unflatten(1, (self.prediction_length, -1))
        steps = F.softplus(raw)  # of the median too: torch is many times slower at a part that is not contiguous
        below, median, above = steps[..., : self.middle], raw[..., self.middle, None], steps[..., self.middle + 1 :]
        lower, upper = below.flip(-1).cumsum(-1).flip(-1), above.cumsum(-1)
        return torch.cat((median - lower, median, median + upper), dim=-1)

    def error(self, output: Tensor, target: Tensor, unit: Tensor) -> Tensor:
        return pinball(target.unsqueeze(-1) - output, self.levels).mean(-1) * unit

    def quantiles(self, output: Tensor) -> Tensor:
        return output


class MeanHead(Head):
    """One number for each step; its quantiles are those of the errors it made in validation.

    Args:
        input_size: Width D of the input.
        prediction_length: Steps H forecast.
        levels: Q ascending levels.
        loss: "mse" (the number is a mean), "mae" (a median) or "huber" (between the two, Huber 1964).
    """

    spread: Tensor

    def __init__(self, input_size: int, prediction_length: int, levels: Sequence[float], loss: str) -> None:
        super().__init__()
        self.loss = loss
        self.linear = nn.Linear(input_size, prediction_length)
        self.register_buffer("levels", torch.tensor(levels), persistent=False)
        self.register_buffer("spread", torch.zeros(prediction_length, len(levels)))
        with torch.no_grad():
            self.linear.weight.mul_(0.1)
            self.linear.bias.zero_()

    def forward(self, hidden: Tensor) -> Tensor:
        """`(B, D) -> (B, H)`."""
        mean: Tensor = self.linear(hidden)
        return mean

    def error(self, output: Tensor, target: Tensor, unit: Tensor) -> Tensor:
        error = (target - output) * unit
        if self.loss == "mse":
            return error.square()
        if self.loss == "mae":
            return error.abs()
        return F.huber_loss(error, torch.zeros_like(error), reduction="none", delta=HUBER_DELTA)

    def quantiles(self, output: Tensor) -> Tensor:
        return output.unsqueeze(-1) + self.spread

    def learn_spread(self, errors: Tensor) -> None:
        """Take the quantiles of errors `(N, H)`, NaN where none was observed, as those of the future's."""
        known = errors.isfinite().any(0)
        found = np.nanquantile(errors[:, known].double().numpy(), self.levels.double().numpy(), axis=0)
        self.spread[known] = torch.from_numpy(found.T).float()


class BinsHead(Head):
    """A probability for each of many ranges of value (bins), trained on the cross-entropy.

    The bins are narrow around the shortcut and grow outwards, evenly in asinh; what lies beyond counts to
    the outermost. Inside a bin every value is as likely, so quantiles are read by linear interpolation.

    Args:
        input_size: Width D of the input.
        prediction_length: Steps H forecast.
        levels: Q ascending levels.
    """

    edges: Tensor

    def __init__(self, input_size: int, prediction_length: int, levels: Sequence[float]) -> None:
        super().__init__()
        self.prediction_length = prediction_length
        self.linear = nn.Linear(input_size, prediction_length * BINS)
        reach = torch.asinh(torch.tensor(BIN_REACH / BIN_CORE)).item()
        edges = BIN_CORE * torch.linspace(-reach, reach, BINS + 1, dtype=torch.float64).sinh()
        self.register_buffer("edges", edges.float(), persistent=False)
        self.register_buffer("levels", torch.tensor(levels), persistent=False)
        # Start near a standard normal, as the quantiles do.
        normal = torch.special.ndtr(edges).diff().clamp(min=1e-6).log().float()
        with torch.no_grad():
            self.linear.weight.mul_(0.1)
            self.linear.bias.copy_(normal.repeat(prediction_length))

    def forward(self, hidden: Tensor) -> Tensor:
        """`(B, D) -> (B, H, bins)`, logarithms of unnormalised probabilities."""
        logits: Tensor = self.linear(hidden)
        return logits.view(-1, self.prediction_length, BINS)

    def error(self, output: Tensor, target: Tensor, unit: Tensor) -> Tensor:
        found = (torch.searchsorted(self.edges, target.contiguous()) - 1).clamp(0, BINS - 1)
        return F.cross_entropy(output.flatten(0, 1), found.flatten(), reduction="none").view_as(target) * unit

    def quantiles(self, output: Tensor) -> Tensor:
        below = F.pad(output.double().softmax(-1).cumsum(-1), (1, 0))  # (B, H, bins + 1)
        levels = self.levels.double().expand(*below.shape[:-1], -1).contiguous()
        right = torch.searchsorted(below, levels).clamp(1, BINS)
        low, high = below.gather(-1, right - 1), below.gather(-1, right)
        share = ((levels - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
        edges = self.edges.double()
        return torch.lerp(edges[right - 1], edges[right], share).to(output.dtype)


def pinball(error: Tensor, levels: Tensor) -> Tensor:
    """Pinball loss of errors `y - f`, `(..., Q)`, twice the usual one so that it is the absolute error at the median.

    Koenker and Bassett 1978: `2 max(q e, (q - 1) e)`, which is `|e| + (2 q - 1) e`.
    """
    return error.abs() + (2 * levels - 1) * error
