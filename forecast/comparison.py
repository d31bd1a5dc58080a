"""Whether one model forecasts better than another: paired errors, and how far chance may reach.

Two models are compared on the same windows. Where there are many series, chance is which series there are,
and they are drawn anew (bootstrap). Where there are few, it is which time was forecast, and the differences
are a series in time (Diebold-Mariano).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from forecast.errors import ParameterError, Problem

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]

ENOUGH_SERIES = 10  # to draw from
DRAWS, AT_ONCE = 2000, 1 << 22
CONFIDENCE = 0.9


@dataclass(frozen=True)
class Comparison:
    """Errors of a champion and a challenger on the same windows.

    Attributes:
        champion, challenger: Their mean errors.
        improvement: How much of the champion's error the challenger saves: 0.02 is 2 %, below 0 it is worse.
        low, high: The 90 % interval of the improvement; NaN where there is too little to tell.
        series, windows: How many they were compared on.
        method: What the interval is made by: "bootstrap over series" or "Diebold-Mariano over windows".
    """

    champion: float
    challenger: float
    improvement: float
    low: float
    high: float
    series: int
    windows: int
    method: str

    @property
    def is_telling(self) -> bool:
        """Whether there is an interval at all."""
        return bool(np.isfinite(self.low))


@dataclass(frozen=True)
class DieboldMariano:
    """A test of equal accuracy.

    Attributes:
        mean: The mean difference of the losses.
        standard_error: Its standard error, corrected for few values.
        statistic: Their ratio, t-distributed with `degrees` degrees of freedom where both models are equal.
        p_value: Of the two-sided test.
        degrees: n - 1.
    """

    mean: float
    standard_error: float
    statistic: float
    p_value: float
    degrees: int

    def half_width(self, confidence: float = CONFIDENCE) -> float:
        """What the interval reaches to either side of the mean."""
        return float(stdtrit(self.degrees, 0.5 + confidence / 2)) * self.standard_error


def compare(champion: Floats, challenger: Floats, series: Ints, origins: Ints, overlap: int = 1) -> Comparison:
    """Compare two models on M windows by the mean difference of their errors.

    Args:
        champion: `(M,)` errors, NaN where there is none: such windows are left out.
        challenger: `(M,)` likewise.
        series: `(M,)` which series each window belongs to.
        origins: `(M,)` the windows' order in time within their series.
        overlap: How many windows that follow each other share a step.

    Raises:
        ParameterError: There is no window with an error of both.
    """
    both = np.isfinite(champion) & np.isfinite(challenger)
    if not both.any():
        raise ParameterError(Problem("the two models have no window with an error in common", "send more data"))
    champion, challenger, series, origins = champion[both], challenger[both], series[both], origins[both]
    difference = champion - challenger
    index = np.unique(series, return_inverse=True)[1]
    count = np.bincount(index)
    if len(count) >= ENOUGH_SERIES:
        method = "bootstrap over series"
        low, high = bootstrap_interval(np.bincount(index, difference).astype(np.float64), count)
    else:
        method = "Diebold-Mariano over windows"
        low, high = _interval_in_time(difference, _places(index, origins), overlap)
    level = champion.mean()
    share = 1 / level if level > 0 else np.nan
    return Comparison(
        champion=float(level),
        challenger=float(challenger.mean()),
        improvement=float(difference.mean() * share),
        low=float(low * share),
        high=float(high * share),
        series=len(count),
        windows=len(difference),
        method=method,
    )


def bootstrap_interval(
    totals: Floats, counts: Ints, confidence: float = CONFIDENCE, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of a mean, with whole series drawn again and again.

    Efron and Tibshirani 1993, section 13.3; all windows of a series are drawn together, as they are not
    independent (Davison and Hinkley 1997, section 3.8).

    Args:
        totals: `(N,)` sums over each series' windows.
        counts: `(N,)` how many windows these are.
        confidence: Share of draws inside.
        seed: Same seed, same interval.

    Returns:
        Its two ends, in the units of the mean over windows.
    """
    random = np.random.default_rng(seed)
    number = len(totals)
    rows = max(1, AT_ONCE // number)
    means = []
    for begin in range(0, DRAWS, rows):
        drawn = random.integers(number, size=(min(rows, DRAWS - begin), number))
        means.append(totals[drawn].sum(1) / counts[drawn].sum(1))
    low, high = np.quantile(np.concatenate(means), [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(low), float(high)


def diebold_mariano(difference: Floats, horizon: int = 1) -> DieboldMariano:
    """Test whether the losses of two models differ, from their differences in time.

    Diebold and Mariano 1995, with the correction for small samples of Harvey, Leybourne and Newbold 1997
    (equations 3 to 9). Where the sum of autocovariances comes out negative, as it can with few values, Bartlett's
    weights make it positive (Newey and West 1987).

    Args:
        difference: `(n,)` loss of the first model less that of the second, in time's order.
        horizon: Steps h ahead: losses fewer than h apart are correlated.

    Raises:
        ParameterError: There are no more than `horizon` values, or fewer than two.
    """
    n = len(difference)
    if n <= max(horizon, 1):
        raise ParameterError(
            Problem(
                f"{n} differences are too few for a test {horizon} steps ahead", f"{max(horizon, 1) + 1} are needed"
            )
        )
    mean = difference.mean()
    centred = difference - mean
    covariances = np.array([centred[k:] @ centred[: n - k] for k in range(horizon)]) / n
    variance = (covariances[0] + 2 * covariances[1:].sum()) / n
    if variance <= 0:
        variance = (covariances[0] + 2 * ((1 - np.arange(1, horizon) / horizon) * covariances[1:]).sum()) / n
    correction = (n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n
    error = float(np.sqrt(max(variance, 0) / correction))
    statistic = float(mean / error) if error > 0 else float(np.sign(mean) * np.inf) if mean else 0.0
    return DieboldMariano(float(mean), error, statistic, float(2 * stdtr(n - 1, -abs(statistic))), n - 1)


def _interval_in_time(difference: Floats, places: Ints, overlap: int) -> tuple[float, float]:
    """The interval of the mean difference, from its means over series, one for each place in time."""
    in_time = np.bincount(places, difference) / np.bincount(places)
    if len(in_time) <= overlap:
        return np.nan, np.nan
    half = diebold_mariano(in_time, overlap).half_width()
    return difference.mean() - half, difference.mean() + half


def _places(index: Ints, origins: Ints) -> Ints:
    """`(M,)` each window's place in time: the last of every series is 0, the one before it 1."""
    order = np.lexsort((-origins, index))
    first = np.r_[0, np.cumsum(np.bincount(index))[:-1]]
    places = np.empty(len(index), np.int64)
    places[order] = np.arange(len(index)) - first[index[order]]
    return places
