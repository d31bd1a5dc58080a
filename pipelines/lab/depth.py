"""In a deep network sigmoids starve the first layers of gradient; ReLU and tanh do not."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from forecast.inspection import parameter_gradients, sample_windows
from forecast.inspection.results import Floats, Result
from forecast.networks import Network
from forecast.table import SeriesTable
from forecast.training import train
from pipelines.lab.experiment import Experiment, Lesson, Verdict, judged, share_in_words
from pipelines.lab.networks import BARE, settings, untrained
from pipelines.pictures import Picture
from pipelines.pictures.style import BASELINE, MODEL, OTHERS, line, styled

LAYERS = 12
STARVED = 0.001  # of the last layer's gradient

LESSON = Lesson(
    claim="In a deep network sigmoids starve the first layers of gradient; ReLU and tanh do not.",
    explanation=(
        "On its way back a gradient passes every layer, and each multiplies it by its weights and by the slope of its "
        "activation. A sigmoid's slope is 1/4 at most, so that with weights of the usual size a dozen of them leave "
        "next to nothing for the layers that read the data: these keep their random weights, and the network learns "
        "about as much as its last layers can by themselves. Tanh has a slope of 1 near 0, ReLU of 1 wherever it "
        "answers; weights that suit them keep the gradient at its size. It is a matter of slope times weight: with "
        "weights four times as large, as this project's networks start with, sigmoids pass on far more of it."
    ),
    formulas=(
        "∂L/∂h_{l-1} = W_l^T diag(f'(a_l)) ∂L/∂h_l",
        "f' is at most 1/4 for sigmoid and 1 for tanh; for ReLU it is 0 or 1",
    ),
    source=(
        "Glorot and Bengio 2010 (weights of tanh and sigmoid); He et al. 2015, arXiv 1502.01852 (of ReLU); Hochreiter "
        "1991 and Nielsen 2015, chapter 5, for what sigmoids do in depth."
    ),
)


class Kind(NamedTuple):
    """An activation that takes part: the gain of its first weights, and how it is drawn."""

    activation: str
    gain: float
    color: str
    dash: str = "solid"


SIGMOID, TANH, RELU, LARGER = "sigmoid", "tanh", "ReLU", "sigmoid, 4 x the weights"
KINDS = {
    SIGMOID: Kind("sigmoid", 1.0, BASELINE),
    TANH: Kind("tanh", nn.init.calculate_gain("tanh"), MODEL),
    RELU: Kind("relu", nn.init.calculate_gain("relu"), OTHERS[0]),
    LARGER: Kind("sigmoid", 4.0, OTHERS[2], "dash"),
}


@dataclass(frozen=True)
class Depth(Result):
    """The gradient of each layer's weights in a deep feedforward network, and how it learnt; by activation.

    Attributes:
        gradient: `(S, D)` for each of S first weights and D layers, the first one first.
        loss: `(E,)` training loss of the first of them by epoch.
    """

    gradient: dict[str, Floats]
    loss: dict[str, Floats]

    def share(self) -> dict[str, float]:
        """The first layer's gradient as a share of the last one's, the median over first weights."""
        return {name: float(np.median(norm[:, 0] / norm[:, -1])) for name, norm in self.gradient.items()}

    def summary(self) -> dict[str, Any]:
        return {
            "layers": next(iter(self.gradient.values())).shape[1],
            "first_layer_over_last": self.share(),
            "train_loss": {name: float(losses[-1]) for name, losses in self.loss.items()},
        }

    def table(self) -> pd.DataFrame:
        """`activation, seed, layer, gradient_norm`; layers from 1."""
        frames = []
        for name, norms in self.gradient.items():
            for seed, norm in enumerate(norms):
                columns = {"activation": name, "seed": seed, "layer": np.arange(1, len(norm) + 1)}
                frames.append(pd.DataFrame({**columns, "gradient_norm": norm}))
        return pd.concat(frames, ignore_index=True)

    def losses(self) -> pd.DataFrame:
        """`activation, epoch, train_loss`; epochs from 1."""
        frames = [
            pd.DataFrame({"activation": name, "epoch": np.arange(1, len(losses) + 1), "train_loss": losses})
            for name, losses in self.loss.items()
        ]
        return pd.concat(frames, ignore_index=True)


def run(table: SeriesTable) -> Experiment:
    """The experiment as it is shown."""
    depth = measure(table)
    tables = {"gradients": depth.table(), "losses": depth.losses()}
    return Experiment(LESSON, judge(depth), depth.summary(), tables, pictures(depth))


def measure(
    table: SeriesTable,
    layers: int = LAYERS,
    hidden_size: int = 64,
    seeds: int = 5,
    epochs: int = 8,
    batches: int = 40,
    windows: int = 128,
) -> Depth:
    """Measure the gradient of each layer before training, and train.

    Args:
        table: The series.
        layers: Hidden layers.
        hidden_size: Units of each.
        seeds: First weights to look at.
        epochs: Of the training of the first of them.
        batches: Of each epoch.
        windows: In the batch whose loss the gradient is of.
    """
    gradient, loss = {}, {}
    for name, kind in KINDS.items():
        network = {**BARE, "kind": "feedforward", "activation": kind.activation, "num_layers": layers}
        pace = {"max_epochs": epochs, "batches_per_epoch": batches, "batch_size": 128, "optimizer": "adam"}
        pace |= {"learning_rate": 1e-3}
        config = settings(table, {**network, "hidden_size": hidden_size}, pace, context_length=168)
        batch = sample_windows(config, table, windows)
        fresh = [weighted(untrained(config, seed), kind.gain, seed) for seed in range(seeds)]
        seen = [parameter_gradients(one, batch) for one in fresh]
        encoder = [place for place, group in enumerate(seen[0].groups) if group.startswith("encoder.")]
        gradient[name] = np.stack([one.gradient_norm[encoder] for one in seen])
        _, history = train(config, table, start=fresh[0])
        loss[name] = np.array([epoch["train_loss"] for epoch in history])
    return Depth(gradient, loss)


def weighted(network: Network, gain: float, seed: int) -> Network:
    """Give the encoder's layers Glorot's first weights, times a gain; biases of 0.

    Args:
        network: A feedforward network, changed in place.
        gain: What the activation needs to keep a signal at its size, by `nn.init.calculate_gain` or other measure.
        seed: Of the random numbers.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for layer in network.encoder.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight, gain)
                nn.init.zeros_(layer.bias)
    return network


def judge(depth: Depth) -> Verdict:
    """Whether the first layer gets next to nothing under sigmoid, and its share under tanh and ReLU."""
    share = depth.share()
    failures = []
    if share[SIGMOID] >= STARVED:
        failures.append("sigmoids do not starve the first layer")
    failures += [f"{name} starves the first layer too" for name in (TANH, RELU) if share[name] < STARVED]
    layers = next(iter(depth.gradient.values())).shape[1]
    found = (
        f"the first of {layers} layers gets, of the last one's gradient, {share_in_words(share[SIGMOID])} under "
        f"sigmoid, {share_in_words(share[TANH])} under tanh and {share_in_words(share[RELU])} under ReLU"
    )
    return judged(failures, found)


def pictures(depth: Depth) -> tuple[Picture, ...]:
    """The gradient by layer, and the losses."""
    from plotly import graph_objects as go

    share = depth.share()
    by_layer, by_epoch = go.Figure(), go.Figure()
    for name, kind in KINDS.items():
        norm = np.median(depth.gradient[name] / depth.gradient[name][:, -1:], axis=0)
        number, epoch = np.arange(1, len(norm) + 1), np.arange(1, len(depth.loss[name]) + 1)
        by_layer.add_trace(line(name, kind.color, number, norm, dash=kind.dash, mode="lines+markers"))
        by_epoch.add_trace(line(name, kind.color, epoch, depth.loss[name], dash=kind.dash, mode="lines+markers"))
    styled(by_layer, "layer, from the data to the forecast", "share of the last gradient")
    by_layer.update_yaxes(type="log", exponentformat="power", dtick=1).update_xaxes(dtick=1)
    styled(by_epoch, "epoch", "training loss, deviations").update_xaxes(dtick=1)
    first = Picture(
        f"Of the last layer's gradient the first one gets {share_in_words(share[SIGMOID])} under sigmoid, "
        f"{share_in_words(share[RELU])} under ReLU",
        "The length of the loss's gradient for the weights of each layer, before training, as a share of the last "
        f"layer's; the median of {len(depth.gradient[SIGMOID])} first weights. Gradients come from the right.",
        by_layer,
    )
    final = {name: float(losses[-1]) for name, losses in depth.loss.items()}
    best = min(final, key=lambda name: final[name])
    ratio = final[SIGMOID] / final[best]
    title = f"After {len(depth.loss[SIGMOID])} epochs the sigmoids' loss is {ratio:.1f} times that of {best}"
    about = (
        "Mean absolute error on the windows trained on, in standard deviations of each window's history, which the "
        "network sees scaled. The same data, the same batches, Adam with a rate of 0.001; the encoder alone answers. "
        "A flat line is a network that answers the same to every window."
    )
    return first, Picture(title if best != SIGMOID else "The sigmoids learn best all the same", about, by_epoch)
