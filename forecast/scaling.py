"""Scaling of each window by itself: one network for series of very different size, exactly invertible.

A scale is found from the observed part of the context only, never from what is to be forecast.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Scaling = Literal["standard", "mean-abs", "robust"]
Transform = Literal["none", "log"]

NORMAL_QUARTILES = 1.349  # distance between the quartiles of a standard normal

LOG_REACH = 100.0  # how many units of the log transform the mean absolute value is

LARGEST_LOG = 85.0  # of a value: beyond it 32-bit floats overflow

# A standard deviation below this share of the largest value is rounding error of 32-bit floats.
SMALLEST_DEVIATION = 1e-6


class Scale(NamedTuple):
    """Location and size of each window.

    Attributes:
        mean: `(B, 1)` the mean, 0 for a window without any value.
        loc: `(B, 1)` what is taken off: the mean, the median for "robust", 0 for "mean-abs".
        size: `(B, 1)` the standard deviation (for "robust" estimated from the quartiles), or the mean
            absolute value. 0 for a window with nothing to scale: a constant (or all-zero) one, or one
            without any value.
    """

    mean: Tensor
    loc: Tensor
    size: Tensor

    def apply(self, values: Tensor) -> Tensor:
        """Values `(B, T)` in units of the window; 0 where the size is 0."""
        flat = self.size == 0
        return ((values - self.loc) / self.size.masked_fill(flat, 1)).masked_fill(flat, 0)

    def invert(self, scaled: Tensor) -> Tensor:
        """Back to the units of the data: `(B, T)`."""
        return self.loc + scaled * self.size


def window_scale(context: Tensor, observed: Tensor, scaling: Scaling) -> Scale:
    """Find the scale of each window.

    Args:
        context: `(B, L)` values, of any size from 1e-30 to 1e30; what is not observed must be 0.
        observed: `(B, L)` mask.
        scaling: "standard" (mean and standard deviation), "mean-abs", or "robust" (median and quartiles; where
            the quartiles are the same, as in many an intermittent series, the standard deviation).

    Returns:
        The scale. Sums are taken in units of the largest value, so that squares neither overflow nor vanish.
    """
    count = observed.sum(1, keepdim=True).clamp(min=1)
    peak = context.abs().amax(1, keepdim=True)
    relative = context / peak.masked_fill(peak == 0, 1)
    mean = relative.sum(1, keepdim=True) / count
    if scaling == "mean-abs":
        return Scale(peak * mean, torch.zeros_like(peak), peak * (relative.abs().sum(1, keepdim=True) / count))
    deviation = ((relative - mean) * observed).square().sum(1, keepdim=True).div(count).sqrt()
    deviation = deviation.masked_fill(deviation < SMALLEST_DEVIATION, 0)
    if scaling == "standard":
        return Scale(peak * mean, peak * mean, peak * deviation)
    lower, median, upper = _quartiles(relative, observed)
    spread = (upper - lower) / NORMAL_QUARTILES
    return Scale(peak * mean, peak * median, peak * torch.where(spread < SMALLEST_DEVIATION, deviation, spread))


def _quartiles(values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The quartiles of what was observed in each row, each `(B, 1)`: the nearest value; 0 where nothing was."""
    ordered = values.masked_fill(~observed, torch.inf).sort(1).values
    last = observed.sum(1, keepdim=True) - 1
    found = [ordered.gather(1, (last * share).round().long().clamp(min=0)) for share in (0.25, 0.5, 0.75)]
    lower, median, upper = (one.masked_fill(last < 0, 0) for one in found)
    return lower, median, upper


def log_unit(context: Tensor, observed: Tensor, transform: Transform) -> Tensor:
    """What values are counted in before they are compressed, so that the data's own unit does not matter.

    Args:
        context: `(B, L)` values; what is not observed must be 0.
        observed: `(B, L)` mask.
        transform: "none" or "log".

    Returns:
        `(B, 1)`: for "log" a hundredth of the mean absolute value, under which the logarithm turns straight;
        1 where that is 0, and for "none".
    """
    if transform == "none":
        return torch.ones_like(context[:, :1])
    unit = window_scale(context, observed, "mean-abs").size / LOG_REACH
    return unit.masked_fill(unit == 0, 1)


def compress(values: Tensor, unit: Tensor, transform: Transform) -> Tensor:
    """Draw in long tails before scaling: "log" is `sign(y) log(1 + |y / unit|)`, straight near 0, even in sign."""
    return (values / unit).abs().log1p().copysign(values) if transform == "log" else values


def expand(values: Tensor, unit: Tensor, transform: Transform) -> Tensor:
    """The inverse of `compress`; finite for any finite value."""
    if transform == "none":
        return values
    size = values.abs().clamp(max=LARGEST_LOG).expm1() * unit
    return size.clamp(max=torch.finfo(size.dtype).max).copysign(values)


def slope(values: Tensor, unit: Tensor, transform: Transform) -> Tensor:
    """How much the data change where the compressed change by 1: the derivative of `expand` at `compress(values)`."""
    return unit + values.abs() if transform == "log" else torch.ones_like(values)
