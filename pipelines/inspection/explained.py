"""One forecast explained, drawn: what it rests on, what each covariate did, when the state was met before."""

import numpy as np

from forecast.inspection import ForecastInspection
from pipelines.pictures import Picture
from pipelines.pictures.style import ACTUAL, BAND, BASELINE, MODEL, OTHERS, QUIET, band, line, styled
from pipelines.pictures.units import clock

ALIKE = 0.7  # distance up to which two states are called nearly the same: half of that of two at random
AGREE = 0.5  # rank correlation from which on both views are said to agree


def rests_on(seen: ForecastInspection) -> Picture:
    """The history, the forecast, and what each part of the history adds to it, by two views."""
    from plotly import graph_objects as go
    from plotly.subplots import make_subplots

    context, found = len(seen.history), seen.attribution
    past, ahead = seen.times[:context], seen.times[context:]
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.55, 0.45], vertical_spacing=0.08)
    traces = [line("history", ACTUAL, past, seen.history, width=1.5)]
    low, high = (int(np.abs(seen.levels - level).argmin()) for level in (0.1, 0.9))
    if high > low:
        traces += band("80 % interval", BAND, ahead, seen.quantiles[:, low], seen.quantiles[:, high])
    for trace in [*traces, line("median forecast", MODEL, ahead, seen.median)]:
        figure.add_trace(trace, row=1, col=1)
    by_patch, starts = found.by_patch[0], past[:: found.patch_length]
    middle = past[found.patch_length // 2 :: found.patch_length]
    bars = go.Bar(x=middle, y=by_patch, name="integrated gradients", marker={"color": OTHERS[0]})
    figure.add_trace(bars, row=2, col=1)
    look = {"mode": "markers", "marker": {"color": BASELINE, "size": 9, "symbol": "diamond"}}
    figure.add_trace(go.Scatter(x=middle, y=found.masking[0], name="lost when hidden", **look), row=2, col=1)
    strongest = int(np.abs(by_patch).argmax())
    share = np.abs(by_patch[strongest]) / max(np.abs(by_patch).sum(), 1e-30)
    begin = clock(starts[strongest])
    part = f"the {found.patch_length} values from {begin} on" if found.patch_length > 1 else begin
    title = f"The forecast rests most on {part}: {share:.0%} of all"
    agreement = float(found.agreement[0])
    if not np.isnan(agreement):
        said = "agree" if agreement >= AGREE else "do not agree: trust neither blindly"
        title += f"; both views {said}"
    about = (
        f"Series {seen.item_id}. Below, in units of the data, what each part of the history adds to the mean of the "
        "median forecast, beside a history at its mean (integrated gradients, Sundararajan et al. 2017), and what is "
        f"lost when it is hidden. Rank correlation of both {agreement:.2f}."
    )
    styled(figure, height=560).update_yaxes(title="value", row=1, col=1)
    figure.update_yaxes(title="adds to the forecast", row=2, col=1).update_xaxes(title="time", row=2, col=1)
    return Picture(title, about, figure)


def covariates(seen: ForecastInspection) -> Picture | None:
    """What each covariate did to each step ahead."""
    from plotly import graph_objects as go

    found = seen.covariates
    if not found.names:
        return None
    figure, ahead = go.Figure(), seen.times[len(seen.history) :]
    for number, (name, effect) in enumerate(zip(found.names, found.effect[:, 0], strict=True)):
        figure.add_trace(line(name, (MODEL, *OTHERS, BASELINE, QUIET)[number % 8], ahead, effect))
    sizes = found.summary()
    most = max(sizes, key=lambda name: sizes[name])
    title = f"{most} moves the forecast most: by {sizes[most]:.3g} on average"
    about = (
        "The median forecast less the one without the covariate (a number at its mean, a category unknown, dates not "
        "read), in units of the data."
    )
    return Picture(title[0].upper() + title[1:], about, styled(figure, "time", "change of the forecast"))


def similar(seen: ForecastInspection) -> Picture | None:
    """The past windows whose state was nearest, and what followed them."""
    from plotly import graph_objects as go

    found, ahead = seen.similar, seen.times[len(seen.history) :]
    if not len(found.origin):
        return None
    figure = go.Figure()
    for rank, (time, distance, followed) in enumerate(zip(found.times, found.distance, found.analogue, strict=True)):
        name, color = f"after {clock(time)} (distance {distance:.2f})", OTHERS[rank % len(OTHERS)]
        figure.add_trace(line(name, color, ahead, followed, width=1.5))
    figure.add_trace(line("median forecast", MODEL, ahead, seen.median, width=3))
    nearest = clock(found.times[0])
    title = f"The network was in nearly this state before {nearest}"
    if found.distance[0] > ALIKE:
        title = f"The network was never quite in this state; it was nearest before {nearest}"
    about = (
        "What followed the past windows that left the network in the most similar state, moved to today's level and "
        "size, and the forecast. Distance 0 is the same state, about 1.4 that of two windows at random. Where what "
        "followed differs widely, so may what comes."
    )
    return Picture(title, about, styled(figure, "time", "value"))
