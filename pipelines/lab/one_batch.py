"""What forward propagation and backpropagation do to one batch, layer by layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from forecast.inspection import activations, parameter_gradients, sample_windows
from forecast.inspection.gradients import length_of, parameter_groups
from forecast.inspection.looking import look_at
from forecast.inspection.results import Result
from forecast.loss import batch_loss
from forecast.networks import Network
from forecast.table import SeriesTable
from forecast.windows import Batch
from pipelines.lab.experiment import Experiment, Lesson, Verdict, judged, share_in_words
from pipelines.lab.networks import settings, untrained
from pipelines.pictures import Picture
from pipelines.pictures.style import BASELINE, MODEL, QUIET, styled

KINDS = ("feedforward", "cnn", "rnn", "lstm")
NAMES = {"feedforward": "feedforward", "cnn": "CNN", "rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}
STEP = 1e-6  # by which weights are tried out, of their length: further away other ReLUs answer
EXACT = 1e-3  # a slope tried out may differ by so much from the one backpropagation gives
MOVED = 0.01  # of their length: a step of learning

LESSON = Lesson(
    claim="Forward, each layer answers to what the one before it says; backward, each gets the slope of the loss.",
    explanation=(
        "Forward propagation computes layer after layer: each takes the numbers h of the one before, multiplies them "
        "by its weights W, and bends them by its activation f. Here 64 windows of two weeks go in and 24 hours come "
        "out. Backpropagation goes the same way back by the chain rule: from the loss it gives every layer the "
        "gradient for its weights, at the price of about two forward passes, however many weights there are. It is no "
        "approximation: change a layer's weights a little along its gradient, and the loss changes by just what the "
        "gradient said. And a small step of all weights against it lowers the loss."
    ),
    formulas=(
        "forward: h_l = f(a_l), a_l = W_l h_{l-1} + b_l",
        "backward: δ_l = W_{l+1}^T δ_{l+1} ⊙ f'(a_l)",
        "∂L/∂W_l = δ_l h_{l-1}^T",
    ),
    source="Rumelhart, Hinton and Williams 1986; Goodfellow et al. 2016, Deep Learning, section 6.5.",
)


@dataclass(frozen=True)
class OneBatch(Result):
    """One batch through networks of several kinds, forward and back.

    Attributes:
        forward: `network, layer, kind, size, mean, deviation, ...`: a row for each layer, in the order they answer.
        backward: `network, layer, gradient, weight, slope`: a row for each layer with weights, in the same order:
            the length of the loss's gradient, that of the weights, and the slope of the loss along the gradient as
            trying it out shows it.
        loss: By network, before and after one small step against the gradient.
    """

    forward: pd.DataFrame
    backward: pd.DataFrame
    loss: dict[str, tuple[float, float]]

    @property
    def deviation(self) -> float:
        """How far a slope tried out differs from what backpropagation gives, at the most, as a share."""
        return float((self.backward["slope"] / self.backward["gradient"] - 1).abs().max())

    def spread(self) -> dict[str, float]:
        """By network, the largest gradient of a layer over the smallest."""
        norms = self.backward.groupby("network", sort=False)["gradient"]
        return {str(name): float(ratio) for name, ratio in (norms.max() / norms.min()).items()}

    def summary(self) -> dict[str, Any]:
        return {
            "backpropagation_off_by": self.deviation,
            "largest_gradient_over_smallest": self.spread(),
            "loss_before_and_after_a_step": {name: list(both) for name, both in self.loss.items()},
        }

    def table(self) -> pd.DataFrame:
        """The rows of `backward`."""
        return self.backward


def run(table: SeriesTable) -> Experiment:
    """The experiment as it is shown."""
    batch = measure(table)
    tables = {"forward": batch.forward, "backward": batch.backward}
    return Experiment(LESSON, judge(batch), batch.summary(), tables, pictures(batch))


def measure(
    table: SeriesTable, kinds: Sequence[str] = KINDS, hidden_size: int = 32, windows: int = 64, seed: int = 0
) -> OneBatch:
    """Send one batch through an untrained network of each kind, and its loss back.

    Args:
        table: The series.
        kinds: Of networks.
        hidden_size: Units of a layer.
        windows: In the batch.
        seed: Of the first weights.
    """
    forward, backward, loss = [], [], {}
    for kind in kinds:
        network = {"kind": kind, "hidden_size": hidden_size, **({"num_layers": 2} if kind == "feedforward" else {})}
        config = settings(table, network, {}, calendar=True)
        fresh, batch = untrained(config, seed), sample_windows(config, table, windows)
        answers = activations(fresh, batch).table()
        forward.append(answers.assign(layer=answers["layer"].map(readable), network=NAMES[kind]))
        given = parameter_gradients(fresh, batch)
        order = _in_order(given.groups, answers["layer"].tolist())
        columns = {"gradient": given.gradient_norm, "weight": given.weight_norm, "slope": slopes(fresh, batch)}
        rows = pd.DataFrame({"network": NAMES[kind], "layer": [readable(group) for group in given.groups], **columns})
        backward.append(rows.iloc[order])
        loss[NAMES[kind]] = (given.loss, loss_after_step(fresh, batch))
    return OneBatch(pd.concat(forward, ignore_index=True), pd.concat(backward, ignore_index=True), loss)


def slopes(network: Network, batch: Batch) -> list[float]:
    """The slope of the loss along each layer's gradient, as trying it out shows it.

    `(L(w + e d) - L(w - e d)) / 2 e` for the gradient's direction d, a layer's weights at a time: what the length of
    its gradient should be.
    """
    copy, windows = _with_gradients(network, batch)
    found = []
    for group in parameter_groups(copy).values():
        gradients = [weight.grad if weight.grad is not None else torch.zeros_like(weight) for weight in group]
        length = length_of(gradients)
        step = STEP * max(length_of([weight.detach() for weight in group]), 1.0)
        direction = [gradient / length if length else gradient for gradient in gradients]
        found.append(
            (_moved(copy, windows, group, direction, step) - _moved(copy, windows, group, direction, -step))
            / (2 * step)
        )
    return found


def loss_after_step(network: Network, batch: Batch) -> float:
    """The loss after all weights moved against the gradient by a hundredth of their length."""
    copy, windows = _with_gradients(network, batch)
    weights = [weight for weight in copy.parameters() if weight.grad is not None]
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    length = MOVED * length_of([weight.detach() for weight in weights])
    direction = [gradient / length_of(gradients) for gradient in gradients]
    return _moved(copy, windows, weights, direction, -length)


def judge(batch: OneBatch) -> Verdict:
    """Whether slopes are what backpropagation says, no layer is cut off either way, and a step lowers the loss."""
    failures = []
    if not batch.deviation < EXACT:
        failures.append(f"a slope tried out differs by {batch.deviation:.1%} from the gradient")
    for rows, column, what in ((batch.forward, "deviation", "says"), (batch.backward, "gradient", "learns")):
        silent = rows.loc[~(rows[column] > 0)]
        names = zip(silent["layer"], silent["network"], strict=True)
        failures += [f"{layer} of the {network} {what} nothing" for layer, network in names]
    failures += [f"the step does not lower the {name}'s loss" for name, (old, new) in batch.loss.items() if new >= old]
    spread = max(batch.spread().values())
    fallen = min(1 - new / old for old, new in batch.loss.values())
    found = (
        f"the slope of the loss along each of {len(batch.backward)} layers' gradients is what backpropagation says, to "
        f"{share_in_words(batch.deviation)} of it; every layer gets one, the largest {spread:.0f} times the smallest "
        f"of the same network; and one small step lowers every loss, by {100 * fallen:.1f} % at least"
    )
    return judged(failures, found)


def pictures(batch: OneBatch) -> tuple[Picture, ...]:
    """The spread of each layer's answers, and the length of each layer's gradient."""
    spread = batch.forward.groupby("network", sort=False)["deviation"].agg(lambda one: one.max() / one.min())
    widest = str(spread.idxmax())
    first = Picture(
        f"Forward: in the {widest} the loudest layer's answers vary {spread.max():.0f} times as much as the quietest's",
        "The standard deviation of what each layer says, over windows and units, in the order in which the layers "
        "answer, from the data (top) to the forecast (bottom). What does not vary carries no information; what grows "
        "from layer to layer ends in saturation. Blue: layers with weights; grey: activations.",
        _by_layer(batch.forward, "deviation", "deviation of the layer's output"),
    )
    norms = batch.backward.set_index(["network", "layer"])["gradient"]
    most = batch.spread()
    network = max(most, key=lambda name: most[name])
    least = str(norms[network].idxmin())
    second = Picture(
        f"Backward: every layer gets a gradient; the {network}'s {norms[network].idxmax()} gets {most[network]:.0f} "
        f"times as much as its {least}",
        "The length of the loss's gradient for the weights of each layer, in the same order; it is computed from the "
        "bottom up. Rings: by backpropagation. Crosses: the slope of the loss as moving the weights a little shows it.",
        _by_layer(batch.backward, "gradient", "length of the gradient"),
    )
    return first, second


def readable(name: str) -> str:
    """A layer's place in words: "encoder.blocks.1.layers.3" is "block 2, convolution 2"."""
    parts = name.split(".")
    if name.startswith("encoder.blocks"):
        block, place = int(parts[2]) + 1, int(parts[4])
        return f"block {block}, {'convolution' if place in (0, 3) else 'activation'} {1 + place // 3}"
    if name.startswith("encoder.layers"):
        place = int(parts[2]) - 1  # after flattening: a layer, its activation, dropout
        return f"{'layer' if place % 3 == 0 else 'activation'} {1 + place // 3}"
    if name.startswith("decoder"):
        return "decoder" if parts[1] == "0" else "decoder's activation"
    return {"encoder.embedding": "embedding", "encoder.recurrence": "recurrence"}.get(
        name, name.removesuffix(".linear")
    )


def _by_layer(rows: pd.DataFrame, column: str, title: str) -> Any:
    """A panel for each network, its layers from top to bottom."""
    from plotly import graph_objects as go
    from plotly.subplots import make_subplots

    layers = rows.groupby("network", sort=False).size()
    networks = list(layers.index)
    most = [int(layers.iloc[place : place + 2].max()) for place in range(0, len(layers), 2)]
    rooms = {"row_heights": most, "horizontal_spacing": 0.2, "vertical_spacing": 0.14}
    figure = make_subplots(rows=len(most), cols=2, subplot_titles=networks, **rooms)
    for number, network in enumerate(networks):
        one = rows[rows["network"] == network]
        place = {"row": number // 2 + 1, "col": number % 2 + 1}
        activation = one["layer"].str.contains("activation")
        marker = {"size": 11, "color": np.where(activation, QUIET, MODEL).tolist()}
        if "slope" in one:
            marker |= {"symbol": "circle-open", "line": {"width": 2.5}}
        look = {"mode": "lines+markers", "marker": marker, "line": {"color": "#CCCCCC"}, "showlegend": False}
        figure.add_trace(go.Scatter(x=one[column], y=one["layer"], name=title, **look), **place)
        if "slope" in one:
            cross = {"symbol": "x-thin", "size": 6, "line": {"width": 2, "color": BASELINE}}
            tried = {"x": one["slope"], "y": one["layer"], "name": "tried out", "mode": "markers", "marker": cross}
            figure.add_trace(go.Scatter(**tried, showlegend=False), **place)
    styled(figure, height=220 + 25 * sum(most)).update_layout(hovermode="closest").update_annotations(font_size=14)
    low, high = np.log10(rows[column].min()) - 0.15, np.log10(rows[column].max()) + 0.15
    ticks = [base * 10.0**power for power in range(-9, 4) for base in ((1, 2, 5) if high - low < 2.5 else (1,))]
    figure.update_xaxes(type="log", range=[low, high], tickvals=ticks, exponentformat="power")
    figure.update_yaxes(autorange="reversed", dtick=1).update_xaxes(title=title, row=len(most))
    return figure


def _with_gradients(network: Network, batch: Batch) -> tuple[Network, Batch]:
    """A copy in 64-bit floats that has gone forward and back, and its windows."""
    look = look_at(network, batch, precise=True, unroll=False)
    loss, _ = batch_loss(look.network, look.batch, "window")
    loss.backward()  # type: ignore[no-untyped-call]
    return look.network, look.batch


def _moved(
    network: Network, batch: Batch, weights: Sequence[nn.Parameter], direction: Sequence[torch.Tensor], step: float
) -> float:
    """The loss with some weights moved by a step; they are put back."""
    before = [weight.detach().clone() for weight in weights]
    with torch.no_grad():
        torch._foreach_add_(list(weights), list(direction), alpha=step)
        loss, _ = batch_loss(network, batch, "window")
        torch._foreach_copy_(list(weights), before)
    return float(loss)


def _in_order(groups: Sequence[str], layers: Sequence[str]) -> list[int]:
    """The places of groups of weights in the order in which their layers answer."""
    rank = {layer: number for number, layer in enumerate(layers)}
    return sorted(range(len(groups)), key=lambda place: rank.get(groups[place], len(rank)))
