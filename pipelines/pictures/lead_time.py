"""The error by how far ahead is forecast."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecast.backtest import Backtest
from pipelines.pictures.page import Picture
from pipelines.pictures.style import colours, line, styled
from pipelines.pictures.units import duration, step_name

MOST_STEPS, MOST_MODELS = 500, 8  # drawn


def by_lead_time(result: Backtest, model: str, baseline: str | None) -> Picture:
    """MASE at each step ahead, of everyone; of very many models the best ones.

    Args:
        result: The forecasts.
        model: Which is looked at.
        baseline: What it is held against; None where there is none.
    """
    from plotly import graph_objects as go

    horizon = result.actual.shape[1]
    steps = np.unique(np.linspace(1, horizon, min(horizon, MOST_STEPS)).round().astype(int))
    first = [name for name in (model, baseline) if name is not None]
    others = [str(name) for name in result.leaderboard().index if name not in first]
    names = [*first, *others][:MOST_MODELS]
    shades, figure = colours(names, model, baseline), go.Figure()
    for name in names:
        errors = result.per_lead_time(name)["mase"].to_numpy()
        figure.add_trace(line(name, shades[name], steps, errors[steps - 1], width=3 if name == model else 1.5))
        if name == model:
            title = finding(errors, result.season, duration(result.table.frequency, horizon))
    figure.update_yaxes(rangemode="tozero")
    about = (
        f"MASE at each {step_name(result.table.frequency)} ahead: the mean absolute error in units of the seasonal "
        "naive forecast's error within each window's own history, over all windows. Less is better."
    )
    unit = step_name(result.table.frequency, plural=True)
    return Picture(title, about, styled(figure, f"lead time, {unit}", "MASE, seasonal-naive errors"))


def finding(errors: npt.NDArray[np.floating], season: int, span: str) -> str:
    """How the error at the end of the horizon compares with that at its beginning, as a sentence.

    Whole seasons are compared, where two fit: the hour of the day is not to pass for the distance in time.
    """
    if len(errors) < 2:
        return "The error of the one step ahead"
    part = season if 2 * season <= len(errors) else len(errors) // 2
    begin, end = (pd.Series(some).mean() for some in (errors[:part], errors[-part:]))
    if not begin > 0 or not np.isfinite(end):
        return f"The error over {span}"
    ratio = end / begin
    if ratio < 0.9:
        return f"The error falls by {1 - ratio:.0%} over {span}"
    if ratio < 1.1:
        return f"The error stays level over {span}"
    if ratio < 1.8:
        return f"The error grows by {ratio - 1:.0%} over {span}"
    return f"The error {'doubles' if ratio < 2.25 else f'grows {ratio:.1f}-fold'} over {span}"
