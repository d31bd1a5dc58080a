"""What the layers of a network say, drawn: activations, dead and saturated units, gates, memory, rhythms."""

import numpy as np

from forecast.calendar import Frequency
from forecast.inspection import ForecastInspection, Inspection
from pipelines.pictures import Picture
from pipelines.pictures.style import MODEL, OTHERS, QUIET, line, mark, shade, styled
from pipelines.pictures.units import clock, duration, step_name

GROWN = 5.0  # times as large: what a title calls growing
MUCH = 0.3  # of units or of the time: what a title calls saturated


def layers(seen: Inspection) -> Picture:
    """The size of every layer's output, in the order in which they answer."""
    from plotly import graph_objects as go

    names, figure = [layer.name for layer in seen.layers], go.Figure()
    mean, deviation = (np.array([getattr(layer, name) for layer in seen.layers]) for name in ("mean", "deviation"))
    smallest, largest = (np.array([getattr(layer, name) for layer in seen.layers]) for name in ("smallest", "largest"))
    for name, color, width, below, above in (
        ("smallest to largest", QUIET, 1.5, mean - smallest, largest - mean),
        ("mean ± standard deviation", MODEL, 5, deviation, deviation),
    ):
        bars = {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "color": color}
        bars |= {"thickness": width, "width": 0}
        figure.add_trace(go.Scatter(x=names, y=mean, name=name, mode="markers", marker={"color": color}, error_y=bars))
    title = "Every layer answers in about the same size"
    vary = [layer for layer in seen.layers if layer.deviation > 0]
    least, most = (choose(vary, key=lambda layer: layer.deviation, default=None) for choose in (min, max))
    if least and most and most.deviation > GROWN * least.deviation:
        title = f"{most.name} varies {most.deviation / least.deviation:.0f} times as much as {least.name}"
    about = (
        "What each layer answers to the windows looked at, without unit. A layer that hardly varies tells windows "
        "apart no more; layers that grow from one to the next tend to saturate."
    )
    styled(figure, "layer, in the order of the forward pass", "activation")
    figure.update_xaxes(tickangle=30).update_layout(hovermode="closest")
    return Picture(title, about, figure)


def units(seen: Inspection) -> Picture | None:
    """Dead and saturated units by layer."""
    from plotly import graph_objects as go

    if not seen.units:
        return None
    figure, names = go.Figure(), [health.layer for health in seen.units]
    dead = [100 * float(health.dead.mean()) for health in seen.units]
    saturated = [100 * float(health.saturated.mean()) for health in seen.units]
    for name, color, shares in (("dead units", OTHERS[1], dead), ("time saturated", OTHERS[2], saturated)):
        if any(shares):
            figure.add_trace(go.Bar(x=names, y=shares, name=name, marker={"color": color}, showlegend=True))
    said = [(share, f"of the units of {layer} never answer") for share, layer in zip(dead, names, strict=True)]
    often = "of the time the units of {} are saturated"
    said += [(share, often.format(layer)) for share, layer in zip(saturated, names, strict=True)]
    most, where = max(said)
    title = f"{most:.0f} % {where}" if most > 100 * MUCH else "Hardly any unit is dead or saturated"
    about = (
        "A ReLU unit that gave 0 for every window is dead: it has no gradient. A tanh unit beyond ±0.95 is saturated: "
        "its slope is below a tenth, and it learns slowly."
    )
    styled(figure, "layer", "share, %").update_yaxes(range=[0, 100]).update_layout(barmode="group")
    return Picture(title, about, figure)


def gates(seen: Inspection) -> Picture | None:
    """How often each unit's gates are shut and open: a dot a unit, under the line on which both add up to all."""
    from plotly import graph_objects as go

    if not seen.gates:
        return None
    figure = go.Figure()
    for name, color in zip(dict.fromkeys(gate.gate for gate in seen.gates), (MODEL, *OTHERS), strict=False):
        same = [gate for gate in seen.gates if gate.gate == name]
        shut, opened = (100 * np.concatenate([getattr(gate, side) for gate in same]) for side in ("left", "right"))
        marker = {"color": color, "size": 7, "opacity": 0.6}
        figure.add_trace(go.Scatter(x=opened, y=shut, name=f"{name} gate", mode="markers", marker=marker))
    figure.add_trace(line("always one or the other", QUIET, [0, 100], [100, 0], dash="dash", width=1.5))
    sides = [(float(one.left.mean()), one.gate, "shut") for one in seen.gates]
    sides += [(float(one.right.mean()), one.gate, "open") for one in seen.gates]
    share, gate, state = max(sides)
    title = f"The {gate} gate is {state} {share:.0%} of the time" if share > MUCH else "Gates neither stick nor hang"
    about = (
        "One dot a unit and gate: how often it is below 0.1 (shut) and above 0.9 (open), over all windows and steps "
        "(Karpathy et al. 2015). Near the origin a gate decides by what it sees; at a corner it always does the same."
    )
    styled(figure, "time open (above 0.9), %", "time shut (below 0.1), %", height=440)
    figure.update_xaxes(range=[-2, 102]).update_yaxes(range=[-2, 102]).update_layout(hovermode="closest")
    return Picture(title, about, figure)


def forget_times(seen: Inspection, frequency: Frequency) -> Picture | None:
    """How long the units of each layer keep what they hold, against the season."""
    from plotly import graph_objects as go

    if not seen.forget_times:
        return None
    figure = go.Figure()
    for number, times in enumerate(seen.forget_times):
        steps = np.sort(times.steps)
        share = 100 * (1 - np.arange(len(steps)) / len(steps))
        figure.add_trace(line(f"layer {times.layer}", (MODEL, *OTHERS)[number % 6], steps, share))
    times = seen.forget_times[-1]
    title = "How long units keep what they hold"
    if times.season > 1:
        mark(figure, times.season, f"season, {duration(frequency, times.season)}", log=True)
        long = float(np.mean(np.concatenate([one.steps for one in seen.forget_times]) >= times.season))
        title = f"{long:.0%} of the units hold what they saw for {duration(frequency, times.season)} or longer"
    unit = step_name(frequency, plural=True)
    about = (
        "The share of units that keep a share 1/e of what they hold for at least so long, by the mean of the gate "
        "that keeps it. A season can be carried in the state only by units to the right of it."
    )
    styled(figure, f"time until 1/e is left, {unit}", "units, %").update_xaxes(type="log")
    return Picture(title, about, figure)


def rhythms(seen: Inspection, frequency: Frequency) -> Picture | None:
    """Which rhythms a convolutional network's kernels pass, by layer."""
    from plotly import graph_objects as go

    if not seen.responses:
        return None
    figure = go.Figure()
    for number, response in enumerate(seen.responses):
        period = 1 / response.frequency[1:]
        figure.add_trace(line(response.layer, (MODEL, *OTHERS)[number % 6], period, response.gain[1:]))
    field = seen.field
    if field.season > 1:
        mark(figure, field.season, f"season, {duration(frequency, field.season)}", log=True)
    enough = "a whole season and more" if field.steps >= field.season else "less than a season"
    title = f"The network sees {duration(frequency, field.steps)} back: {enough}"
    about = (
        "How strongly each layer's kernels pass a rhythm of that period (the size of their Fourier transform): a peak "
        "is the rhythm a layer looks for."
    )
    unit = step_name(frequency, plural=True)
    styled(figure, f"period, {unit}", "gain").update_xaxes(type="log")
    return Picture(title, about, figure)


def trajectory(seen: ForecastInspection) -> Picture | None:
    """The last layer's hidden state at each step on the way to one forecast, and its gates."""
    from plotly import graph_objects as go
    from plotly.subplots import make_subplots

    if not seen.states:
        return None
    state = seen.states[-1]
    hidden, gates = state.hidden[0], {name: gate[0].mean(1) for name, gate in state.gates.items()}
    gates.pop("candidate", None)
    ends = seen.times[: len(seen.history)][state.patch_length - 1 :: state.patch_length]
    order = np.argsort(hidden[-1])
    rows = 2 if gates else 1
    figure = make_subplots(rows=rows, cols=1, shared_xaxes=True, row_heights=[0.7, 0.3][:rows], vertical_spacing=0.08)
    heat = go.Heatmap(x=ends, z=hidden[:, order].T, **shade("hidden state", middle=0.0, length=0.7 if gates else 1.0))
    figure.add_trace(heat, row=1, col=1)
    for (name, gate), color in zip(gates.items(), (MODEL, *OTHERS), strict=False):
        figure.add_trace(line(f"{name} gate, mean", color, ends, gate, mode="lines+markers"), row=2, col=1)
    title = "The state that the forecast is made from"
    if len(hidden) > 2:
        moved = np.linalg.norm(np.diff(hidden, axis=0), axis=1)
        title = f"Once begun, the state changes most at the step that ends {clock(ends[1 + int(moved.argmax())])}"
    about = (
        f"The last layer's hidden state of {hidden.shape[1]} units after each step of the recurrence, a step being "
        f"{state.patch_length} values; units in the order of their last state. Below, how open its gates are."
    )
    styled(figure, height=520 if gates else 380).update_yaxes(title="unit", row=1, col=1)
    figure.update_xaxes(title="time at the end of the step", row=rows, col=1)
    if gates:
        figure.update_yaxes(title="gate, 0 to 1", range=[0, 1], row=2, col=1)
    return Picture(title, about, figure)
