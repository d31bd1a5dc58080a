"""How a loss flows back through a network, drawn: by layer while it trained, through time, to each value read."""

import numpy as np

from forecast.calendar import Frequency
from forecast.inspection import Connectivity, Inspection
from forecast.inspection.gradients import half_life
from pipelines.pictures import Picture
from pipelines.pictures.style import BASELINE, MODEL, OTHERS, QUIET, line, shade, styled
from pipelines.pictures.units import duration, step_name

USUAL = (1e-3, 1e-2)  # of the weights' length, changed by a step
COLOURS = (MODEL, *OTHERS, BASELINE, QUIET)


def gradients_while_training(seen: Inspection) -> Picture | None:
    """The length of the loss's gradient, by layer and step."""
    from plotly import graph_objects as go

    training = seen.training
    if training is None or not len(training.step):
        return None
    figure = go.Figure()
    for number, group in enumerate(training.groups):
        figure.add_trace(line(group, COLOURS[number % 8], training.step, training.gradient_norm[:, number], width=1.5))
    most = training.groups[int(np.nanmedian(training.gradient_norm, axis=0).argmax())]
    title = f"{training.clipped_share:.0%} of the steps were clipped; {most} gets the longest gradient"
    about = (
        "The length of the loss's gradient for the weights of each layer, before it was clipped, at the steps that "
        "were looked at. Lines far below the others belong to layers that learn little; jumps upwards are what "
        "clipping is for."
    )
    styled(figure, "step of the training", "length of the gradient").update_yaxes(type="log", exponentformat="power")
    return Picture(title, about, figure)


def updates_while_training(seen: Inspection) -> Picture | None:
    """How much of each layer's weights a step changed."""
    from plotly import graph_objects as go

    training = seen.training
    if training is None or not len(training.step):
        return None
    figure = go.Figure()
    for number, group in enumerate(training.groups):
        ratio = training.update_ratio[:, number]
        figure.add_trace(line(group, COLOURS[number % 8], training.step, ratio, width=1))
    figure.add_trace(line("all weights", "#222222", training.step, training.whole_update_ratio, width=3))
    figure.add_hrect(*USUAL, fillcolor=QUIET, opacity=0.15, line_width=0)
    middle = float(np.median(training.whole_update_ratio))
    low, high = USUAL
    verdict = "as is usual" if low <= middle <= high else "less than is usual" if middle < low else "more than is usual"
    title = f"A step changed the weights by {middle:.2%} of their size: {verdict}"
    about = (
        "The length of each step over the length of the weights. Grey is what usually works, a thousandth to a "
        "hundredth; far above it learning jumps about, far below it hardly moves."
    )
    styled(figure, "step of the training", "step / weights").update_yaxes(type="log", exponentformat="power")
    return Picture(title, about, figure)


def through_time(seen: Inspection, frequency: Frequency) -> Picture | None:
    """The loss's gradient for the state at each step of a recurrence."""
    from plotly import graph_objects as go

    if not seen.state_gradients:
        return None
    figure = go.Figure()
    for number, state in enumerate(seen.state_gradients):
        frame = state.table()
        color = (MODEL, *OTHERS)[number % 6]
        figure.add_trace(line(f"layer {state.layer}, state", color, frame["lag"], frame["norm"], mode="lines+markers"))
        if not np.array_equal(state.norm, state.cell_norm):
            figure.add_trace(
                line(f"layer {state.layer}, cell", color, frame["lag"], frame["cell_norm"], dash="dot", width=1.5)
            )
    last = max(seen.state_gradients, key=lambda state: state.layer)
    slow = max((last.decay, last.cell_decay), key=lambda one: -1.0 if np.isnan(one) else one)
    left = half_life(slow, last.patch_length)
    if np.isnan(left):
        title = "The learning signal through time"
    elif np.isinf(left):
        title = "The learning signal does not fade on its way back"
    else:
        title = f"Half of the learning signal is left after {duration(frequency, max(1, round(left)))}"
    about = (
        "The length of the loss's gradient for the state (an LSTM's cell beside it) so long before the forecast "
        "(Pascanu et al. 2013). A straight line down is exponential decay: what lies where it has vanished teaches "
        "the network nothing."
    )
    unit = step_name(frequency, plural=True)
    styled(figure, f"before the forecast, {unit}", "length of dL/dh").update_yaxes(type="log", exponentformat="power")
    figure.update_xaxes(autorange="reversed")
    return Picture(title, about, figure)


def connectivity(found: Connectivity, frequency: Frequency) -> Picture:
    """Which values each step ahead rests on: through everything, and through the encoder alone."""
    from plotly import graph_objects as go
    from plotly.subplots import make_subplots

    headings = ("through everything, shortcuts too", "through the encoder alone")
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, subplot_titles=headings, vertical_spacing=0.12)
    ahead = np.arange(1, len(found.total) + 1)
    for row, derivative in enumerate((found.total, found.encoder), 1):
        look = shade("", length=0.42, y=0.78 if row == 1 else 0.22)
        figure.add_trace(go.Heatmap(x=found.lags, y=ahead, z=derivative, **look), row=row, col=1)
    strongest = int(found.summary()["strongest_lag"])
    title = f"The forecast goes most by the values {duration(frequency, strongest)} before it"
    if found.memory:
        title += f"; the encoder remembers {duration(frequency, found.memory)}"
    about = (
        "How much the median so far ahead changes with the value so far back (after Madsen 2019): above in units of "
        "the data on both sides, below in units of the window's scale. A diagonal is a season that is repeated."
    )
    unit = step_name(frequency, plural=True)
    styled(figure, height=560).update_xaxes(autorange="reversed").update_yaxes(title=f"ahead, {unit}")
    figure.update_xaxes(title=f"before the forecast, {unit}", row=2, col=1).update_layout(hovermode="closest")
    return Picture(title, about, figure)


def spectrum(seen: Inspection) -> Picture | None:
    """Eigenvalues of the recurrent matrices and of the state's Jacobian, by the unit circle."""
    from plotly import graph_objects as go

    if not seen.spectra:
        return None
    figure = go.Figure()
    angle = np.linspace(0, 2 * np.pi, 181)
    circle = {"dash": "dash", "width": 1.5, "hoverinfo": "skip"}
    figure.add_trace(line("unit circle", QUIET, np.cos(angle), np.sin(angle), **circle))
    found = seen.spectra[-1]
    groups = [
        (name if len(found.gates) > 1 else "recurrent", found.matrix[row]) for row, name in enumerate(found.gates)
    ]
    named = [(f"{name} matrix", values) for name, values in groups]
    for (name, values), color in zip(
        [*named, ("Jacobian of the state", found.jacobian.ravel())], COLOURS, strict=False
    ):
        marker = {"color": color, "size": 5, "opacity": 0.6}
        figure.add_trace(go.Scatter(x=values.real, y=values.imag, name=name, mode="markers", marker=marker))
    radius = found.jacobian_radius
    said = "what is held grows" if radius > 1.02 else "what is held shrinks" if radius < 0.98 else "what is held stays"
    title = f"From a step to the next a state changes by a factor of up to {radius:.2f}: {said}"
    about = (
        "Eigenvalues of the last layer's recurrent matrices, and of the Jacobian of its state with respect to the one "
        "before it, where the network came to. Inside the circle what is held shrinks, outside it grows."
    )
    styled(figure, "real part", "imaginary part", height=520).update_layout(hovermode="closest")
    figure.update_xaxes(constrain="domain").update_yaxes(scaleanchor="x")
    return Picture(title, about, figure)
