"""Whether intervals hold what they say: nominal against actual coverage."""

from forecast.backtest import Backtest
from forecast.metrics import coverage
from pipelines.pictures.page import Picture
from pipelines.pictures.style import QUIET, colours, line, styled

NOMINAL = 0.8  # the interval that a title speaks of
NEAR = 0.03  # a share of what came that an interval may be off without being called too narrow or too wide


def calibration(result: Backtest, model: str, baseline: str | None) -> Picture:
    """The share of what came that lies in each central interval, next to the share that should.

    Args:
        result: The forecasts.
        model: Which is looked at.
        baseline: What it is held against; None where there is none.
    """
    from plotly import graph_objects as go

    names = [name for name in (model, "champion", baseline) if name in result.forecasts]
    names = list(dict.fromkeys(str(name) for name in names))
    shades, figure = colours(names, model, baseline), go.Figure()
    figure.add_trace(line("what they say", QUIET, [0, 100], [0, 100], dash="dash", width=1.5, hoverinfo="skip"))
    for name in names:
        found = coverages(result, name)
        nominal, actual = [100 * one for one in found], [100 * one for one in found.values()]
        look = {"width": 3 if name == model else 1.5, "mode": "lines+markers"}
        figure.add_trace(line(name, shades[name], nominal, actual, **look, hovertemplate="%{y:.1f} %"))
    figure.update_xaxes(range=[0, 100]).update_yaxes(range=[0, 100])
    about = (
        "Of each central interval, the share of the values that came which lies inside. On the dashed line intervals "
        "hold what they say; above it they are wider than they need be, below it narrower than they say."
    )
    styled(figure, "nominal coverage, %", "actual coverage, %", height=440)
    return Picture(finding(coverages(result, model)[NOMINAL]), about, figure)


def coverages(result: Backtest, model: str) -> dict[float, float]:
    """Actual coverage by nominal coverage of each central interval there are levels for, the narrowest first."""
    found = {}
    for lower in sorted((level for level in result.levels if level < 0.5), reverse=True):
        upper = next((level for level in result.levels if abs(level + lower - 1) < 1e-9), None)
        if upper is not None:
            low, high = (result.forecasts[model][..., 1 + result.levels.index(level)] for level in (lower, upper))
            found[round(upper - lower, 6)] = coverage(result.actual, result.observed, low, high)
    return found


def finding(actual: float) -> str:
    """What the 80 % interval holds, as a sentence."""
    held = f"{NOMINAL:.0%} intervals hold {actual:.0%} of what came"
    if abs(actual - NOMINAL) <= NEAR:
        return f"{held}: they can be relied on"
    return f"{held}: they are too {'narrow' if actual < NOMINAL else 'wide'}"
