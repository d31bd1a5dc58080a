"""How forecasts compare with what came, with naive forecasts, and with how much the history varies."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from forecast.inspection.looking import look_at, run
from forecast.inspection.results import Floats, Result, jsonable
from forecast.networks import Network
from forecast.networks.shortcut import seasonal_shortcut
from forecast.windows import Batch

INTERVAL = (0.1, 0.9)


@dataclass(frozen=True)
class Performance(Result):
    """B forecasts whose outcome is known; errors and variations in standard deviations of each window's history.

    Attributes:
        error: `(B,)` mean absolute error of the median.
        seasonal_error: `(B,)` that of the best seasonal naive forecast among the network's seasons.
        flat_error: `(B,)` that of the better of two flat forecasts: the last value, the history's mean.
        variation: `(B,)` standard deviation of the median over the steps ahead.
        actual_variation: `(B,)` that of what came.
        covered: `(B,)` share of what came that lies inside the interval.
        nominal: The share that should.
    """

    error: Floats
    seasonal_error: Floats
    flat_error: Floats
    variation: Floats
    actual_variation: Floats
    covered: Floats
    nominal: float

    @property
    def naive_ratio(self) -> float:
        """Its error over that of the best naive forecast: above 1 it is worse. NaN where that one is without error."""
        return _ratio(self.error, min((self.seasonal_error, self.flat_error), key=np.sum))

    @property
    def coverage(self) -> float:
        """Share of what came inside the interval; NaN without any window."""
        return float(self.covered.mean()) if len(self.covered) else float("nan")

    @property
    def flatness(self) -> float:
        """How much forecasts vary over the steps ahead, as a share of what came: 0 is a flat line."""
        return _ratio(self.variation, self.actual_variation)

    @property
    def pattern(self) -> float:
        """How much better seasonal naive is than a flat forecast, 0 to 1: what a flat forecast misses."""
        return max(0.0, 1 - _ratio(self.seasonal_error, self.flat_error))

    def summary(self) -> dict[str, Any]:
        names = ("naive_ratio", "coverage", "nominal", "flatness", "pattern")
        return {"windows": len(self.error), **{name: jsonable(getattr(self, name)) for name in names}}

    def table(self) -> pd.DataFrame:
        """One row per window."""
        names = ("error", "seasonal_error", "flat_error", "variation", "actual_variation", "covered")
        return pd.DataFrame({"window": np.arange(len(self.error)), **{name: getattr(self, name) for name in names}})


def performance(network: Network, batch: Batch) -> Performance:
    """Judge a network on windows with their targets, those it did not learn from.

    Windows without anything observed, before or after, or whose history is constant, do not count.
    """
    look = look_at(network, batch, precise=True, unroll=False)
    with torch.no_grad():
        return judge(run(look), look.network.head.levels, look.network.shortcuts, look.batch)


def judge(quantiles: Tensor, levels: Tensor, shortcuts: tuple[int, ...], batch: Batch) -> Performance:
    """Judge any forecasts `(B, H, Q)`: of a whole ensemble too."""
    there, came = batch.target_observed, batch.target
    context = batch.context.masked_fill(~batch.observed, 0)
    count = batch.observed.sum(1, keepdim=True).clamp(min=1)
    mean = context.sum(1, keepdim=True) / count
    size = ((context - mean) * batch.observed).square().sum(1, keepdim=True).div(count).sqrt()
    counts = there.any(1) & (size[:, 0] > 0)
    low, middle, high = (int((levels - level).abs().argmin()) for level in (INTERVAL[0], 0.5, INTERVAL[1]))
    median = quantiles[..., middle]

    def error(forecast: Tensor) -> Tensor:
        return ((came - forecast).abs() * there).sum(1) / there.sum(1).clamp(min=1) / size[:, 0]

    def naive(season: int) -> Tensor:
        return error(seasonal_shortcut(context, batch.observed, season, came.shape[1], mean))

    def variation(values: Tensor) -> Tensor:
        centre = (values * there).sum(1, keepdim=True) / there.sum(1, keepdim=True).clamp(min=1)
        square = ((values - centre) * there).square().sum(1) / there.sum(1).clamp(min=1)
        return square.sqrt() / size[:, 0]

    def best(errors: list[Tensor]) -> Tensor:
        return min(errors, key=lambda one: float(one[counts].mean()))

    flat = best([naive(0), naive(1)])
    seasons = [season for season in shortcuts if season > 1]
    seasonal = best([naive(season) for season in seasons]) if seasons else flat
    inside = ((came >= quantiles[..., low]) & (came <= quantiles[..., high]) & there).sum(1) / there.sum(1).clamp(min=1)
    return Performance(
        error=_kept(error(median), counts),
        seasonal_error=_kept(seasonal, counts),
        flat_error=_kept(flat, counts),
        variation=_kept(variation(median), counts),
        actual_variation=_kept(variation(came), counts),
        covered=_kept(inside, counts),
        nominal=float(levels[high] - levels[low]),
    )


def _kept(column: Tensor, counts: Tensor) -> Floats:
    return column[counts].double().numpy()


def _ratio(above: Floats, below: Floats) -> float:
    total = float(below.sum())
    return float(above.sum()) / total if total > 0 else float("nan")
