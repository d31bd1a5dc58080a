"""Forecast metrics, in the definitions of the M4 competition and GluonTS.

Forecasts and actual values are `(N, H)`: N series (or windows of them), H steps. Steps that were not
observed do not count; a series without any observed step, or without a scale, is NaN and is left out of
means (`numpy.nanmean`).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from forecast.table import PIECE, SeriesTable, stretch_sums

Floats = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]


def seasonal_error(table: SeriesTable, lag: int) -> Floats:
    """The scale of MASE: mean |y_t - y_{t-lag}| over each series' observed pairs.

    Hyndman and Koehler 2006.

    Returns:
        `(N,)` float64 in the units of the data, NaN where a series has no such pair.
    """
    total, count = _lagged(table, lag, 1)
    return _ratio(total, count)


def seasonal_deviation(table: SeriesTable, lag: int) -> Floats:
    """Root mean square of y_t - y_{t-lag}: the standard deviation of seasonal naive's errors, `(N,)`."""
    total, count = _lagged(table, lag, 2)
    return np.sqrt(_ratio(total, count))


def _lagged(table: SeriesTable, lag: int, power: int) -> tuple[Floats, Floats]:
    """Sums of |y_t - y_{t-lag}|^power and the number of observed pairs, by series."""
    lengths = np.maximum(table.lengths - lag, 0)
    total, count = np.zeros(len(table)), np.zeros(len(table))
    for start in range(0, len(table.values) - lag, PIECE):
        early = slice(start, min(start + PIECE, len(table.values) - lag))
        late = slice(early.start + lag, early.stop + lag)
        distance = table.values[late].astype(np.float64)
        distance -= table.values[early]
        np.abs(distance, out=distance)
        distance **= power
        pairs = table.observed[late] & table.observed[early]
        distance[~pairs] = 0
        total += stretch_sums(distance, table.offsets - start, lengths)
        count += stretch_sums(pairs, table.offsets - start, lengths)
    return total, count


def mase(actual: Floats, observed: Mask, forecast: Floats, scale: Floats) -> Floats:
    """Mean absolute scaled error (Hyndman and Koehler 2006), `(N,)`.

    Args:
        actual: `(N, H)`.
        observed: `(N, H)` mask.
        forecast: `(N, H)` point forecasts; the median is the right one.
        scale: `(N,)` `seasonal_error` of the history; where it is 0 or NaN the result is NaN.
    """
    return _mean(np.abs(_difference(actual, forecast)), observed) / np.where(scale > 0, scale, np.nan)


def rmsse(actual: Floats, observed: Mask, forecast: Floats, deviation: Floats) -> Floats:
    """Root mean squared scaled error (M5), `(N,)`; `deviation` is `seasonal_deviation` of the history."""
    return np.sqrt(_mean(_difference(actual, forecast) ** 2, observed)) / np.where(deviation > 0, deviation, np.nan)


def smape(actual: Floats, observed: Mask, forecast: Floats) -> Floats:
    """Symmetric mean absolute percentage error as in M4, `(N,)` in percent: 0 where both are 0."""
    error, size = np.abs(_difference(actual, forecast)), _difference(np.abs(actual), -np.abs(forecast))
    return _mean(200 * error / np.where(size == 0, 1, size), observed)


def quantile_loss(actual: Floats, observed: Mask, quantiles: Floats, levels: Sequence[float]) -> Floats:
    """Twice the pinball loss, the mean over levels, `(N, H)`: the absolute error at the median; 0 where not observed.

    Args:
        actual: `(N, H)`.
        observed: `(N, H)` mask.
        quantiles: `(N, H, Q)`.
        levels: Q levels.
    """
    error = np.where(observed[..., None], _difference(actual[..., None], quantiles), 0)
    tau = np.asarray(levels)
    loss: Floats = 2 * np.maximum(tau * error, (tau - 1) * error).mean(-1)
    return loss


def wql(actual: Floats, observed: Mask, quantiles: Floats, levels: Sequence[float]) -> float:
    """Weighted quantile loss over all series: the sum of `quantile_loss` over that of |y|."""
    loss = quantile_loss(actual, observed, quantiles, levels).sum()
    size = np.abs(np.where(observed, actual, 0).astype(np.float64)).sum()
    return float(loss / size) if size > 0 else float("nan")


def coverage(actual: Floats, observed: Mask, lower: Floats, upper: Floats) -> float:
    """Share of observed values inside [lower, upper], all `(N, H)`."""
    inside = (actual >= lower) & (actual <= upper) & observed
    return float(inside.sum() / observed.sum()) if observed.any() else float("nan")


def _difference(actual: Floats, forecast: Floats) -> Floats:
    """In double precision: squares of 32-bit floats overflow from 1e19 on."""
    difference: Floats = actual.astype(np.float64) - forecast
    return difference


def _mean(errors: Floats, observed: Mask) -> Floats:
    """Means over observed steps, `(N, H) -> (N,)`, NaN where there is none."""
    return _ratio(np.where(observed, errors, 0).sum(1), observed.sum(1))


def _ratio(total: Floats, count: npt.NDArray[Any]) -> Floats:
    ratio: Floats = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    return ratio
