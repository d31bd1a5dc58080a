"""The one look of all pictures: colours that colour-blind people tell apart, fonts, axes."""

from collections.abc import Sequence
from math import log10
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# Okabe and Ito (2008). What came is black, the model blue, the baseline vermilion, wherever they are drawn.
ACTUAL, MODEL, BASELINE = "#222222", "#0072B2", "#D55E00"
OTHERS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
QUIET = "#8A8A8A"
BAND, INNER_BAND = "rgba(0,114,178,0.18)", "rgba(0,114,178,0.35)"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"


def styled(figure: "Figure", x: str = "", y: str = "", height: int = 380) -> "Figure":
    """Give a figure the look of all, and its axes their names.

    Args:
        figure: The figure; it is changed.
        x: What its x axis shows, with the unit; "" leaves it as it is.
        y: What its y axis shows, likewise.
        height: Pixels.
    """
    from plotly import graph_objects as go

    axis = {
        "gridcolor": "#E6E6E6",
        "linecolor": QUIET,
        "showline": True,
        "ticks": "outside",
        "tickcolor": QUIET,
        "zeroline": False,
        "automargin": True,
    }
    layout = go.Layout(
        font={"family": FONT, "size": 14, "color": ACTUAL},
        colorway=[MODEL, BASELINE, *OTHERS],
        plot_bgcolor="white",
        paper_bgcolor="white",
        hovermode="x unified",
        xaxis=axis,
        yaxis=axis,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        margin={"l": 60, "r": 20, "t": 50, "b": 50},
    )
    figure.update_layout(template=go.layout.Template(layout=layout), height=height, autosize=True)
    if x:
        figure.update_xaxes(title=x)
    if y:
        figure.update_yaxes(title=y)
    return figure


def line(name: str, color: str, x: Any, y: Any, **more: Any) -> Any:
    """A line, with a marker where it has a single point."""
    from plotly import graph_objects as go

    mode = more.pop("mode", "lines" if len(x) > 1 else "markers")
    look = {"color": color, "width": more.pop("width", 2), "dash": more.pop("dash", "solid")}
    return go.Scatter(x=x, y=y, name=name, mode=mode, line=look, **more)


def band(name: str, color: str, x: Any, low: Any, high: Any, **more: Any) -> list[Any]:
    """What lies between two lines, filled; only the upper one is in the legend."""
    from plotly import graph_objects as go

    edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "legendgroup": name}
    lower = go.Scatter(x=x, y=low, showlegend=False, **edge)
    upper = go.Scatter(x=x, y=high, name=name, fill="tonexty", fillcolor=color, **{**edge, **more})
    return [lower, upper]


def colours(models: Sequence[str], focus: str, baseline: str | None) -> dict[str, str]:
    """A colour for each model: the one looked at, the baseline, and the others in turn."""
    others = [name for name in models if name not in (focus, baseline)]
    shades = {name: OTHERS[number % len(OTHERS)] for number, name in enumerate(others)}
    return {**shades, focus: MODEL, **({baseline: BASELINE} if baseline and baseline != focus else {})}


def mark(figure: "Figure", x: float, text: str, log: bool = False) -> None:
    """A vertical line with words beside it.

    Args:
        figure: The figure; it is changed.
        x: Where.
        text: The words.
        log: Whether the x axis is logarithmic: plotly then wants the logarithm for words, though not for lines.
    """
    figure.add_vline(x, line_color=ACTUAL, line_dash="dot")
    words = {"text": text, "xanchor": "left", "yanchor": "bottom", "yref": "paper", "y": 0.0, "showarrow": False}
    figure.add_annotation(x=log10(x) if log else x, bgcolor="rgba(255,255,255,0.8)", **words)


def shade(name: str, middle: float | None = None, length: float = 1.0, y: float = 0.5) -> dict[str, Any]:
    """The colours of a map: from dark to bright, or to both sides of a middle.

    Args:
        name: What they show.
        middle: A value that is white; None where there is none.
        length: Of the bar that explains them, as a share of the figure's height.
        y: Where its centre is, likewise.
    """
    bar = {"title": {"text": name, "side": "right"}, "len": length, "y": y, "thickness": 14, "exponentformat": "power"}
    if middle is None:
        return {"colorscale": "Cividis", "colorbar": bar}
    return {"colorscale": "PuOr", "zmid": middle, "colorbar": bar}
