"""Quantile levels: which can be asked for, and how those asked come from those trained."""

from collections.abc import Sequence
from functools import lru_cache
from numbers import Real

import torch
from torch import Tensor

from forecast.errors import ParameterError, Problem


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
    return _weights(tuple(trained), tuple(asked))


@lru_cache(256)
def _weights(trained: tuple[float, ...], asked: tuple[float, ...]) -> Tensor:
    knots = torch.tensor(trained, dtype=torch.float64)
    wanted = torch.tensor(asked, dtype=torch.float64)
    right = torch.searchsorted(knots, wanted)
    left = (right - 1).clamp(min=0)
    z, z_wanted = torch.special.ndtri(knots), torch.special.ndtri(wanted)
    share = torch.where(right > 0, (z_wanted - z[left]) / (z[right] - z[left]), 1)
    columns = torch.arange(len(wanted)) + 1
    weights = torch.zeros(len(knots), 1 + len(wanted), dtype=torch.float64)
    weights[:, 0] = level_shares(trained)
    weights[left, columns] = 1 - share
    weights[right, columns] += share
    return weights


def level_shares(levels: Sequence[float]) -> Tensor:
    """How much of a distribution each of Q ascending levels stands for: `(Q,)` in double precision, 1 in all."""
    knots = torch.tensor(levels, dtype=torch.float64)
    edges = torch.cat((knots.new_zeros(1), (knots[1:] + knots[:-1]) / 2, knots.new_ones(1)))
    return torch.diff(edges)


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
        if not ((type(level) is float or isinstance(level, Real)) and 0 < level < 1):
            fault = "is not between 0 and 1"
        elif not lowest <= level <= highest:
            fault = f"is beyond those this model knows, {lowest} to {highest}"
        elif level in seen:
            fault = "is asked for twice"
        else:
            seen.add(level)
            continue
        raise ParameterError(Problem(f"quantile level {level} {fault}", hint, field="quantile_levels"))
