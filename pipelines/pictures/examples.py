"""Forecasts to look at: of the series forecast best, of a typical one and of the worst."""

import numpy as np

from forecast.backtest import Backtest
from pipelines.pictures.page import Picture
from pipelines.pictures.style import ACTUAL, BAND, BASELINE, INNER_BAND, MODEL, band, line, styled

MOST_POINTS = 600  # of history or horizon, drawn of a series
HISTORY = 3  # horizons of history, and at least two seasons


def examples(result: Backtest, model: str, baseline: str | None) -> Picture:
    """The last window of three series, with intervals, the baseline, and what came.

    Args:
        result: The forecasts.
        model: Whose.
        baseline: Drawn beside it; None where there is none.
    """
    from plotly.subplots import make_subplots

    chosen = pick(result, model)
    headings = [
        f"{role}: {result.table.item_ids[series]}" + (f", MASE {error:.2f}" if np.isfinite(error) else "")
        for role, series, error in chosen
    ]
    figure = make_subplots(rows=len(chosen), cols=1, subplot_titles=headings, vertical_spacing=0.28 / len(chosen))
    for row, (_, series, _) in enumerate(chosen, 1):
        for trace in _window(result, model, baseline, series, legend=row == 1):
            figure.add_trace(trace, row=row, col=1)
    figure.update_annotations(font_size=14, x=0, xanchor="left")
    styled(figure, height=120 + 280 * len(chosen))
    figure.update_layout(legend={"y": 1 + 0.12 / len(chosen)}, margin={"t": 90})
    figure.update_xaxes(title="time", row=len(chosen), col=1).update_yaxes(title="value, as in the data")
    about = (
        "The last window of the series forecast best, of the one in the middle and of the one forecast worst: the "
        "median, and the intervals that 40 and 80 % of what comes should lie in."
    )
    return Picture(_finding([error for _, _, error in chosen]), about, figure)


def pick(result: Backtest, model: str) -> list[tuple[str, int, float]]:
    """What it is an example of, the series and its MASE: the best, the middle one and the worst, as far as there are.

    Series whose history never varies have no MASE; where none has one, the first series stands for all.
    """
    errors = result.per_series(model)["mase"].dropna().sort_values(kind="stable")
    if errors.empty:
        return [("The first", int(result.series[0]), float("nan"))]
    places = {"The worst": len(errors) - 1, "Typical": (len(errors) - 1) // 2, "The best": 0}
    roles = {place: role for role, place in places.items()}
    if len(errors) == 1:
        roles = {0: "The only series"}
    of_name = {name: number for number, name in enumerate(result.table.item_ids)}
    return [(roles[place], of_name[errors.index[place]], float(errors.iloc[place])) for place in sorted(roles)]


def typical_series(result: Backtest, model: str) -> int:
    """The series whose MASE is in the middle."""
    chosen = pick(result, model)
    return chosen[len(chosen) // 2][1]


def _window(result: Backtest, model: str, baseline: str | None, series: int, legend: bool) -> list[object]:
    """The traces of the last window of a series in which something was observed."""
    windows = np.flatnonzero(result.series == series)
    seen = windows[result.observed[windows].any(1)]
    window = (seen if len(seen) else windows)[-1]
    origin, horizon = int(result.origins[window]), min(result.actual.shape[1], MOST_POINTS)
    begin = max(0, origin - min(max(HISTORY * horizon, 2 * result.season), MOST_POINTS))
    one = result.table.select(np.array([series]))
    positions = np.arange(begin, origin + horizon)[None]
    times = one.local(one.times(positions))[0]
    at = one.offsets[0] + positions[0]
    actual = np.where(one.observed[at], one.values[at], np.nan)
    ahead = times[origin - begin :]
    show = {"showlegend": legend}
    quantiles = result.forecasts[model][window, :horizon]

    def level(wanted: float) -> object:
        return quantiles[:, 1 + result.levels.index(wanted)]

    traces = band("80 % interval", BAND, ahead, level(0.1), level(0.9), **show)
    if {0.3, 0.7} <= set(result.levels):
        traces += band("40 % interval", INNER_BAND, ahead, level(0.3), level(0.7), **show)
    look = {"legendgroup": "actual", **show}
    traces.append(line("what came", ACTUAL, times, actual, width=1.5, **look))
    if baseline is not None and baseline != model:
        naive = result.forecasts[baseline][window, :horizon, 1 + result.levels.index(0.5)]
        traces.append(line(baseline, BASELINE, ahead, naive, dash="dot", width=1.5, legendgroup="naive", **show))
    traces.append(line(model, MODEL, ahead, level(0.5), legendgroup="model", **show))
    return traces


def _finding(errors: list[float]) -> str:
    best, worst = errors[0], errors[-1]
    if len(errors) == 1 or not np.isfinite(best):
        return "What was forecast, and what came"
    if best > 0 and worst / best < 1.25:
        return "All series are forecast about as well"
    if best <= 0:
        return "One series is forecast without error, the worst is far off"
    return f"The worst series' error is {worst / best:.1f} times the best one's"
