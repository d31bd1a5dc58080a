"""What was left over, in time: does a model lean to one side, and are there days it did not see coming."""

import numpy as np
import pandas as pd

from forecast.backtest import Backtest
from pipelines.pictures.page import Picture
from pipelines.pictures.style import ACTUAL, BAND, MODEL, band, line, styled

MOST_POINTS = 300  # of time; where there are more, neighbouring ones are taken together
LEAN = 0.02  # of the mean absolute value; less is not called a lean


def residuals(result: Backtest, model: str) -> Picture:
    """Actual less forecast over time, over all series: the median and where four fifths lie.

    Args:
        result: The forecasts.
        model: Whose.
    """
    from plotly import graph_objects as go

    spread = by_time(result, model)
    figure = go.Figure()
    figure.add_hline(y=0, line={"color": ACTUAL, "width": 1})
    figure.add_traces(band("80 % of the residuals", BAND, spread.index, spread["low"], spread["high"]))
    figure.add_trace(line("their median", MODEL, spread.index, spread["median"], mode="lines+markers", width=1.5))
    figure.update_traces(marker={"size": 3}, selector={"name": "their median"})
    about = (
        "What came less what was forecast (the median), in units of each series' seasonal-naive error, over all "
        "series and windows. Above nothing the forecast was too low. A stretch far off on one side is something "
        "that the model could not know: a holiday, a closure, a change."
    )
    return Picture(finding(*lean(result, model)), about, styled(figure, "time", "residual, seasonal-naive errors"))


def by_time(result: Backtest, model: str) -> pd.DataFrame:
    """Residuals in seasonal-naive errors, by time: `low, median, high` (quantiles 0.1, 0.5 and 0.9)."""
    horizon = result.actual.shape[1]
    median = result.forecasts[model][..., 1 + result.levels.index(0.5)]
    scale = np.where(result.scale > 0, result.scale, np.nan)[:, None]
    left = np.where(result.observed, (result.actual - median) / scale, np.nan).ravel()
    picked = result.table.select(result.series)
    times = picked.local(picked.times(result.origins[:, None] + np.arange(horizon))).ravel()
    known = np.isfinite(left)
    moments, at = np.unique(times[known], return_inverse=True)
    together = -(-len(moments) // MOST_POINTS) or 1
    grouped = pd.Series(left[known]).groupby(at // together)
    levels = {"low": 0.1, "median": 0.5, "high": 0.9}
    spread = pd.DataFrame({name: grouped.quantile(level) for name, level in levels.items()})
    return spread.set_axis(pd.Index(moments[::together], name="time"))


def lean(result: Backtest, model: str) -> tuple[float, float]:
    """The mean residual, and the mean absolute value that it is to be seen next to."""
    median = result.forecasts[model][..., 1 + result.levels.index(0.5)].astype(np.float64)
    if not result.observed.any():
        return 0.0, 0.0
    left = (result.actual - median)[result.observed]
    return float(left.mean()), float(np.abs(result.actual[result.observed], dtype=np.float64).mean())


def finding(mean: float, size: float) -> str:
    """To which side the forecasts lean, as a sentence."""
    share = mean / size if size > 0 else 0.0
    side = "low" if share > 0 else "high"
    if abs(share) < LEAN:
        return f"The forecasts lean to neither side: {abs(share):.1%} too {side} in all"
    return f"The forecasts are {abs(share):.0%} too {side} in all"
