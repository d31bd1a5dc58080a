"""Output heads and their losses: what a network says about each future step."""

from collections.abc import Sequence
from numbers import Real

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forecast.errors import ParameterError, Problem


class QuantileHead(nn.Module):
    """Quantiles that cannot cross: the median, and positive steps outwards from it.

    Args:
        input_size: Width D of the input.
        prediction_length: Steps H forecast.
        levels: Q ascending levels, 0.5 among them.
    """

    def __init__(self, input_size: int, prediction_length: int, levels: Sequence[float]) -> None:
        super().__init__()
        self.prediction_length = prediction_length
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
        below, median, above = raw.tensor_split((self.middle, self.middle + 1), dim=-1)
        lower = F.softplus(below).flip(-1).cumsum(-1).flip(-1)
        upper = F.softplus(above).cumsum(-1)
        return torch.cat((median - lower, median, median + upper), dim=-1)


def pinball_loss(quantiles: Tensor, target: Tensor, levels: Tensor, weight: Tensor) -> Tensor:
    """Mean pinball loss, twice the usual one so that it is the absolute error at the median.

    Koenker and Bassett 1978: `2 max(q (y - f), (q - 1) (y - f))`.

    Args:
        quantiles: `(B, H, Q)` forecasts.
        target: `(B, H)` what came; anything where the weight is 0.
        levels: `(Q,)`.
        weight: `(B, H)` weight of each step, 0 for those not observed.

    Returns:
        The weighted mean, a scalar; 0 where nothing has weight.
    """
    error = target.unsqueeze(-1) - quantiles
    loss = 2 * torch.maximum(levels * error, (levels - 1) * error).mean(-1)
    loss = loss.masked_fill(weight == 0, 0)
    return (loss * weight).sum() / weight.sum().clamp(min=1e-9)


def level_weights(trained: Sequence[float], asked: Sequence[float]) -> Tensor:
    """Weights that make any quantile, and the mean, from those trained.

    Between two trained levels a quantile is interpolated linearly in the normal's z, which is exact
    where the forecast is normal. The mean is the integral of the quantile function over its levels,
    taken as linear between those trained and flat beyond the outermost.

    Args:
        trained: Q ascending levels.
        asked: R levels.

    Returns:
        `(Q, 1 + R)` in double precision, so that rounding lets no quantiles cross; a forecast `(..., Q)`
        times it is the mean and the R quantiles.

    Raises:
        ParameterError: A level lies outside (0, 1) or beyond the outermost trained.
    """
    check_levels(asked, trained[0], trained[-1])
    knots = torch.tensor(trained, dtype=torch.float64)
    wanted = torch.tensor(asked, dtype=torch.float64)
    edges = torch.cat(
        (torch.zeros(1, dtype=torch.float64), (knots[1:] + knots[:-1]) / 2, torch.ones(1, dtype=torch.float64))
    )
    right = torch.searchsorted(knots, wanted)
    left = (right - 1).clamp(min=0)
    z, z_wanted = torch.special.ndtri(knots), torch.special.ndtri(wanted)
    share = torch.where(right > 0, (z_wanted - z[left]) / (z[right] - z[left]), 1)
    columns = torch.arange(len(wanted)) + 1
    weights = torch.zeros(len(knots), 1 + len(wanted), dtype=torch.float64)
    weights[:, 0] = torch.diff(edges)
    weights[left, columns] = 1 - share
    weights[right, columns] += share
    return weights


def check_levels(levels: Sequence[float], lowest: float = 0.0, highest: float = 1.0) -> None:
    """Refuse levels that are no numbers in (0, 1), that stand twice, or that a model does not reach.

    Args:
        levels: The levels asked.
        lowest: The lowest level that can be given.
        highest: The highest.

    Raises:
        ParameterError: Names the first.
    """
    hint = f"ask for levels from {lowest} to {highest}" if lowest > 0 else "ask for levels such as 0.1"
    seen: set[float] = set()
    for level in levels:
        if not (isinstance(level, Real) and 0 < level < 1):
            fault = "is not between 0 and 1"
        elif not lowest <= level <= highest:
            fault = f"is beyond those this model knows, {lowest} to {highest}"
        elif level in seen:
            fault = "is asked for twice"
        else:
            seen.add(level)
            continue
        raise ParameterError(Problem(f"quantile level {level} {fault}", hint, field="quantile_levels"))
