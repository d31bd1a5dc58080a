"""Naive baselines, through the same interface as the networks: what a model must beat."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from forecast.errors import ParameterError, Problem
from forecast.levels import check_levels
from forecast.metrics import seasonal_deviation
from forecast.networks.shortcut import seasonal_shortcut
from forecast.predictor import SERIES_AT_ONCE, Predictor, check_horizon
from forecast.table import SeriesTable

SEASONS_READ = 8


class SeasonalNaive(Predictor):
    """Every step is as one season before; a season of 1 repeats the last value.

    Intervals are normal, with the standard deviation of the history's own seasonal differences, growing
    with the root of the seasons ahead (Hyndman and Athanasopoulos, Forecasting: Principles and Practice,
    section 5.5). The mean is the median.

    Args:
        season_length: Steps in a season.
        prediction_length: Steps forecast when not told otherwise.
        seasons_read: How far back a value is looked for where the last season misses it.
    """

    def __init__(self, season_length: int, prediction_length: int = 1, seasons_read: int = SEASONS_READ) -> None:
        for name, count in (("season_length", season_length), ("seasons_read", seasons_read)):
            if count < 1:
                raise ParameterError(Problem(f"{name}={count} is not positive", field=name))
        self.season_length = season_length
        self.prediction_length = prediction_length
        self.context_length = seasons_read * season_length
        self.minimum_history = 1

    def __repr__(self) -> str:
        return f"SeasonalNaive({self.season_length})"

    def forecast(
        self, table: SeriesTable, prediction_length: int, quantile_levels: Sequence[float]
    ) -> npt.NDArray[np.float32]:
        check_horizon(prediction_length)
        check_levels(quantile_levels)
        self.check_usable(table)
        parts = np.array_split(np.arange(len(table)), -(-len(table) // SERIES_AT_ONCE))
        point = np.concatenate([self._point(table.select(part), prediction_length) for part in parts])
        deviation = np.nan_to_num(seasonal_deviation(table, self.season_length))
        seasons_ahead = np.arange(prediction_length) // self.season_length + 1
        return normal_forecast(point, deviation[:, None] * np.sqrt(seasons_ahead), quantile_levels)

    def _point(self, table: SeriesTable, prediction_length: int) -> npt.NDArray[np.float32]:
        values, observed = table.tail(self.context_length)
        mean = values.sum(1, keepdims=True, dtype=np.float64) / observed.sum(1, keepdims=True)
        point = seasonal_shortcut(
            torch.from_numpy(values),
            torch.from_numpy(observed),
            self.season_length,
            prediction_length,
            torch.from_numpy(mean.astype(np.float32)),
        )
        return point.numpy()


def normal_forecast(
    point: npt.NDArray[np.floating], deviation: npt.NDArray[np.floating], quantile_levels: Sequence[float]
) -> npt.NDArray[np.float32]:
    """Mean and quantiles of normals, in the form of `Predictor.forecast`.

    Args:
        point: `(N, H)` their means.
        deviation: `(N, H)` their standard deviations.
        quantile_levels: R levels.

    Returns:
        `(N, H, 1 + R)`.
    """
    z = torch.special.ndtri(torch.tensor([0.5, *quantile_levels], dtype=torch.float64)).numpy()
    result: npt.NDArray[np.float32] = (point[..., None] + deviation[..., None] * z).astype(np.float32)
    return result
