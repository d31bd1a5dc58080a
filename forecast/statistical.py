"""Classical methods, through the same interface as the networks: each series modelled by itself.

They come from statsforecast, the extra `statistical`. No weights are kept: a method is fitted to the end
of each series whenever a forecast is asked for, which takes a fraction of a second for a series.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from forecast.baselines import SeasonalNaive, normal_forecast
from forecast.errors import PROBLEMS_SHOWN, DataWarning, ParameterError, Problem
from forecast.levels import check_levels
from forecast.predictor import SERIES_AT_ONCE, Predictor, check_horizon
from forecast.table import SeriesTable

SEASONS_READ, LEAST_READ = 20, 200
INTERVAL = 80  # percent

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class StatisticalModel(Predictor):
    """A method of statsforecast, fitted to each series anew.

    Quantiles are normal about the method's forecast, which is both mean and median, and as wide as the
    method's own 80 % interval. These methods know no missing values: those are taken, on a copy, from
    the straight line between the same points of the seasons before and after, or between the neighbours
    where no season has the point. A constant series goes on as it is. Where the method gives nothing
    (most often for want of values: it needs from 5 to 10), seasonal naive stands in, and a
    `DataWarning` says for which series.

    Args:
        season_length: Steps in a season, 1 for none. A fit slows with it: weeks of hours take seconds.
        prediction_length: Steps forecast when not told otherwise.
        context_length: Steps of history read, rounded up to whole seasons; by default 20 seasons and
            200 steps at the least. Fits take time in proportion.

    Raises:
        ParameterError: An argument is out of range, or statsforecast is not installed.
    """

    method: ClassVar[str]

    def __init__(self, season_length: int, prediction_length: int = 1, context_length: int | None = None) -> None:
        read = max(SEASONS_READ * season_length, LEAST_READ) if context_length is None else context_length
        if read < 1:
            raise ParameterError(Problem(f"context_length={read} is not positive", field="context_length"))
        seasons = -(-read // max(season_length, 1))
        self._stand_in = SeasonalNaive(season_length, prediction_length, seasons)
        self._model = _load(self.method)(season_length=season_length)
        self.season_length = season_length
        self.prediction_length = prediction_length
        self.context_length = seasons * season_length
        self.minimum_history = 1

    def __repr__(self) -> str:
        return f"{self.method}({self.season_length})"

    def forecast(
        self, table: SeriesTable, prediction_length: int, quantile_levels: Sequence[float]
    ) -> npt.NDArray[np.float32]:
        check_horizon(prediction_length)
        check_levels(quantile_levels)
        self.check_usable(table)
        parts = np.array_split(np.arange(len(table)), -(-len(table) // SERIES_AT_ONCE))
        answers = [self._point_and_deviation(table.select(part), prediction_length) for part in parts]
        point, deviation = (np.concatenate(arrays) for arrays in zip(*answers, strict=True))
        with np.errstate(over="ignore"):  # what leaves the range of 32 bits is no forecast
            result = normal_forecast(point, deviation, quantile_levels)
        given_up: Mask = np.logical_not(np.isfinite(result).all(axis=(1, 2)))
        if given_up.any():
            result[given_up] = self._stand_in.forecast(table.select(given_up), prediction_length, quantile_levels)
            _warn(self.method, table, given_up)
        return result

    def _point_and_deviation(self, table: SeriesTable, prediction_length: int) -> tuple[Floats, Floats]:
        """The forecast and its standard deviation, `(N, H)` each; NaN where the method fails."""
        values, observed = table.tail(self.context_length)
        begin = observed.argmax(1)
        history = fill_in(values, observed, self.season_length)
        point, deviation = np.full((2, len(table), prediction_length), np.nan)
        half_width = torch.special.ndtri(torch.tensor(0.5 + INTERVAL / 200, dtype=torch.float64)).item()
        with _contained():
            for i in range(len(table)):
                y = history[i, begin[i] :]
                if (y == y[0]).all():
                    point[i], deviation[i] = y[0], 0
                    continue
                try:
                    answer = self._model.forecast(y=y, h=prediction_length, level=[INTERVAL])
                except Exception:  # noqa: S112 - statsforecast raises whatever its last step raised, and bare ones
                    continue
                point[i] = answer["mean"]
                deviation[i] = (answer[f"hi-{INTERVAL}"] - answer[f"lo-{INTERVAL}"]) / (2 * half_width)
        return point, deviation


class AutoETS(StatisticalModel):
    """Exponential smoothing; error, trend and season chosen by AICc (Hyndman et al. 2002).

    A season beyond 24 steps makes it slow.
    """

    method = "AutoETS"


class AutoTheta(StatisticalModel):
    """The best of four Theta models on the seasonally adjusted series (Fiorucci et al. 2016)."""

    method = "AutoTheta"


def fill_in(values: npt.NDArray[np.float32], observed: Mask, season: int) -> Floats:
    """Missing values from the same point of the seasons before and after, else from the neighbours.

    Args:
        values: `(N, L)`, L a whole number of seasons, at least one value of each row observed.
        observed: `(N, L)` mask.
        season: Steps in a season.

    Returns:
        `(N, L)`: on a straight line between the nearest observed on either side; where there is but one
        side, its value.
    """
    rows = len(values)
    by_point = values.astype(np.float64).reshape(rows, -1, season).swapaxes(1, 2)  # (N, S, L / S)
    seen = observed.reshape(rows, -1, season).swapaxes(1, 2)
    filled, known = _interpolate(by_point, seen)
    return _interpolate(filled.swapaxes(1, 2).reshape(rows, -1), known.swapaxes(1, 2).reshape(rows, -1))[0]


def _interpolate(values: Floats, seen: Mask) -> tuple[Floats, Mask]:
    """Linearly along the last axis; the mask tells where something was there to interpolate from."""
    size = values.shape[-1]
    index = np.arange(size)
    before = np.maximum.accumulate(np.where(seen, index, -1), axis=-1)
    after = np.minimum.accumulate(np.where(seen, index, size)[..., ::-1], axis=-1)[..., ::-1]
    known = (before >= 0) | (after < size)
    left = np.where(before >= 0, before, after).clip(max=size - 1)
    right = np.where(after < size, after, left)
    share = (index - left) / np.maximum(right - left, 1)
    low, high = np.take_along_axis(values, left, -1), np.take_along_axis(values, right, -1)
    return np.where(left == right, low, low + share * (high - low)), known


@contextmanager
def _contained() -> Iterator[None]:
    """Keeps in what fits do to the whole process: warnings of models not taken, a seed for numpy's random numbers."""
    random = np.random.get_state()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            np.random.set_state(random)


def _load(method: str) -> Any:
    try:
        return getattr(import_module("statsforecast.models"), method)
    except ImportError as error:
        problem = Problem(
            f"{method} needs statsforecast, which is not installed", "pip install 'forecast-inside[statistical]'"
        )
        raise ParameterError(problem) from error


def _warn(method: str, table: SeriesTable, given_up: Mask) -> None:
    index = np.flatnonzero(given_up)
    shown = ", ".join(f"{table.item_ids[i]!r} ({table.lengths[i]} steps)" for i in index[:PROBLEMS_SHOWN])
    more = f" and {len(index) - PROBLEMS_SHOWN} more" if len(index) > PROBLEMS_SHOWN else ""
    warnings.warn(
        f"{method} gives no forecast for {len(index)} of {len(table)} series: {shown}{more}; seasonal naive stands in",
        DataWarning,
        stacklevel=3,
    )
