"""Windows of the series of a request, and how far off their forecasts are."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Self

import numpy as np
import numpy.typing as npt

from forecast import SeasonalNaive, SeriesTable, metrics
from forecast.backtest import Backtest
from forecast.predictor import DEFAULT_LEVELS
from service.tables import Part

MODEL, BASELINES = "model", ("naive", "seasonal_naive")
SEASONS_READ = 8  # at the least


@dataclass(frozen=True)
class Windows:
    """The W windows of each of N series that share a clock, M = N * W in all; those of a series together.

    Attributes:
        part: The series.
        history: `(M,)` what is known before each window, sharing the values.
        count: W.
        actual, observed: `(M, H)` what came in each, and whether it was sent.
    """

    part: Part
    history: SeriesTable
    count: int
    actual: npt.NDArray[np.float32]
    observed: npt.NDArray[np.bool_]

    @classmethod
    def cut(cls, part: Part, prediction_length: int, ends: Sequence[int]) -> Self:
        """Cut windows of H steps, each so many steps before its series' end, from series that are long enough."""
        table, count = part.table, len(ends)
        history = table.select(np.arange(len(table)).repeat(count)).drop_last(np.tile(ends, len(table)))
        position = (history.offsets + history.lengths)[:, None] + np.arange(prediction_length)
        return cls(part, history, count, table.values[position], table.observed[position])

    @property
    def series(self) -> npt.NDArray[np.int64]:
        """`(M,)` which series of the part each belongs to."""
        return np.arange(len(self.part.table)).repeat(self.count)


def judge(
    windows: Windows, forecast: npt.NDArray[np.float32], levels: Sequence[float], season: int, context_length: int
) -> Backtest:
    """Compare a model's forecasts with what came, and with naive forecasts.

    Args:
        windows: M windows of H steps.
        forecast: `(M, H, 1 + R)`.
        levels: R levels, `DEFAULT_LEVELS` among them: errors are measured at these, whatever else was asked.
        season: Steps of a season.
        context_length: Steps that the model looks at; there is a value among the last so many before each window.
    """
    history, horizon = windows.history, forecast.shape[1]
    columns = [0, *(1 + levels.index(level) for level in DEFAULT_LEVELS)]
    forecasts = {MODEL: forecast[..., columns]}
    for name, lag in zip(BASELINES, (1, season), strict=True):
        baseline = SeasonalNaive(lag, horizon, max(ceil(context_length / lag), SEASONS_READ))
        forecasts[name] = baseline.forecast(history, horizon, DEFAULT_LEVELS)
    return Backtest(
        table=windows.part.table,
        series=windows.series,
        origins=history.lengths,
        actual=windows.actual,
        observed=windows.observed,
        forecasts=forecasts,
        levels=DEFAULT_LEVELS,
        season=season,
        scale=metrics.seasonal_error(history, season),
        deviation=metrics.seasonal_deviation(history, season),
    )
