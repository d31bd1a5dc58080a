"""Overfitting, and what early stopping, dropout and weight decay do to it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from forecast.inspection import sample_windows
from forecast.inspection.results import Floats, Result
from forecast.loss import batch_loss
from forecast.module import ForecastModule
from forecast.table import SeriesTable
from forecast.training import train
from forecast.windows import Batch
from pipelines.lab.experiment import Experiment, Lesson, Verdict, judged
from pipelines.lab.networks import BARE, HORIZON, settings
from pipelines.pictures import Picture
from pipelines.pictures.style import ACTUAL, BASELINE, MODEL, OTHERS, QUIET, line, styled

PLACE = "Southern Cross Station"
DAYS, KEPT, UNSEEN = 31, 7, 42  # trained on, kept at their end for validation, and never seen: each before the next
RISEN = 1.05  # the loss on unseen windows over its least: from there on a network has overfitted

NOTHING, STOPPING, DROPOUT, DECAY = "nothing", "early stopping", "dropout", "weight decay"
WAYS: dict[str, tuple[dict[str, float], dict[str, float]]] = {  # settings of the network and of its training
    NOTHING: ({}, {"weight_decay": 0.0}),
    DROPOUT: ({"dropout": 0.5}, {"weight_decay": 0.0}),
    DECAY: ({}, {"weight_decay": 4.0}),
}
COLOURS = {NOTHING: BASELINE, STOPPING: MODEL, DROPOUT: OTHERS[0], DECAY: OTHERS[2]}

LESSON = Lesson(
    claim="A network with more weights than data overfits; early stopping, dropout and weight decay each lessen it.",
    explanation=(
        "A few weeks of one place are learnt by a network of far more weights than there are values. It can learn "
        "them by heart: the loss on what it trains on goes on falling while that on other windows rises. Early "
        "stopping keeps the weights of the epoch at which the loss on windows kept aside was least. Dropout sets half "
        "of the units to 0 at every step, at random, so that none can rely on another's quirks. Weight decay draws "
        "all weights towards 0, so that only what the data insist on grows. The network gives probabilities of ranges "
        "of value and is trained on cross-entropy, which punishes being sure and wrong: that is what a network is "
        "that knows its data by heart. All are judged on six later weeks that neither trained nor stopped anything: a "
        "set that was used to choose is no longer unseen."
    ),
    formulas=(
        "weight decay: w ← (1 - ηλ) w - η (the step of Adam)",
        "dropout: h ← m h / (1 - p), m = 0 with probability p, otherwise 1",
        "early stopping: the w of the epoch with the least loss on kept windows",
    ),
    source=(
        "Prechelt 1998 (early stopping); Srivastava et al. 2014 (dropout); Krogh and Hertz 1992; Loshchilov and Hutter "
        "2019, arXiv 1711.05101 (decoupled weight decay)."
    ),
)


@dataclass(frozen=True)
class Remedies(Result):
    """Losses of S trainings (first weights) by epoch, for each way of training: `(S, E)` each.

    Attributes:
        trained: On windows trained on, without dropout.
        kept: On the windows kept for validation.
        unseen: On later ones.
        weights: How many weights the network has.
        values: How many values it trains on.
    """

    trained: dict[str, Floats]
    kept: dict[str, Floats]
    unseen: dict[str, Floats]
    weights: int
    values: int

    def end(self) -> dict[str, Floats]:
        """`(S,)` the loss on unseen windows with the weights each way ends with: the last, or those that were kept."""
        last = {name: losses[:, -1] for name, losses in self.unseen.items()}
        stop = self.kept[NOTHING].argmin(1)
        stopped = np.take_along_axis(self.unseen[NOTHING], stop[:, None], axis=1)[:, 0]
        return {NOTHING: last[NOTHING], STOPPING: stopped, DROPOUT: last[DROPOUT], DECAY: last[DECAY]}

    @property
    def rise(self) -> float:
        """The last loss on unseen windows over its least, without any remedy: the median over trainings."""
        unseen = self.unseen[NOTHING]
        return float(np.median(unseen[:, -1] / unseen.min(1)))

    def summary(self) -> dict[str, Any]:
        return {
            "weights": self.weights,
            "values_trained_on": self.values,
            "train_loss": {name: float(np.median(losses[:, -1])) for name, losses in self.trained.items()},
            "unseen_loss": {name: float(np.median(losses)) for name, losses in self.end().items()},
            "rise": self.rise,
        }

    def table(self) -> pd.DataFrame:
        """`way, seed, epoch, trained, kept, unseen`; epochs from 1."""
        frames = []
        for name, unseen in self.unseen.items():
            for seed, losses in enumerate(unseen):
                columns = {"way": name, "seed": seed, "epoch": np.arange(1, len(losses) + 1)}
                sets = {"trained": self.trained[name][seed], "kept": self.kept[name][seed], "unseen": losses}
                frames.append(pd.DataFrame({**columns, **sets}))
        return pd.concat(frames, ignore_index=True)


def run(table: SeriesTable) -> Experiment:
    """The experiment as it is shown."""
    remedies = measure(table)
    return Experiment(LESSON, judge(remedies), remedies.summary(), {"losses": remedies.table()}, pictures(remedies))


def measure(
    table: SeriesTable, hidden_size: int = 128, seeds: int = 3, epochs: int = 30, batches: int = 10, days: int = DAYS
) -> Remedies:
    """Train a wide network on little data, without and with each remedy, and watch it on windows it never sees.

    Args:
        table: The series, with one named as `PLACE`.
        hidden_size: Units of a layer.
        seeds: First weights and batches, each way of training has the same.
        epochs: Of each training; none is stopped.
        batches: Of each epoch.
        days: Trained on, those kept for validation among them.
    """
    one = table.select(table.item_ids == PLACE)
    seen = one.drop_last(UNSEEN * HORIZON).keep_last(days * HORIZON)
    later = one.keep_last((UNSEEN + 7) * HORIZON)  # a week of history before the first unseen hour
    found: dict[str, list[_Watch]] = {name: [] for name in WAYS}
    for name, (network, training) in WAYS.items():
        for seed in range(seeds):
            shape = {**BARE, "output": "bins", "kind": "feedforward", "num_layers": 2, "hidden_size": hidden_size}
            pace = {"max_epochs": epochs, "batches_per_epoch": batches, "batch_size": 64, "patience": epochs}
            how = {"learning_rate": 3e-3, "validation_windows": KEPT, "seed": seed, **training}
            config = settings(seen, {**shape, **network}, {**pace, **how}, context_length=7 * HORIZON)
            watch = _Watch(
                trained=sample_windows(config, seen.drop_last(KEPT * HORIZON), 256),
                unseen=sample_windows(config, later, 256),
            )
            learnt, history = train(config, seen, [watch])
            watch.kept = [epoch["val_loss"] for epoch in history]
            found[name].append(watch)
    return Remedies(
        trained={name: np.array([watch.losses["trained"] for watch in each]) for name, each in found.items()},
        kept={name: np.array([watch.kept for watch in each]) for name, each in found.items()},
        unseen={name: np.array([watch.losses["unseen"] for watch in each]) for name, each in found.items()},
        weights=sum(weight.numel() for weight in learnt.parameters()),
        values=(days - KEPT) * HORIZON - int(seen.drop_last(KEPT * HORIZON).missing().sum()),
    )


class _Watch(Callback):
    """Measures the loss on sets of windows after every epoch, without dropout."""

    def __init__(self, **sets: Batch) -> None:
        self.sets = sets
        self.losses: dict[str, list[float]] = {name: [] for name in sets}
        self.kept: list[float] = []

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if isinstance(pl_module, ForecastModule):
            with torch.no_grad():
                for name, batch in self.sets.items():
                    loss, _ = batch_loss(pl_module.network, batch, pl_module.training_config.error_unit)
                    self.losses[name].append(float(loss))


def judge(remedies: Remedies) -> Verdict:
    """Whether the network overfits, and every remedy ends with a lower loss on unseen windows in each training."""
    end = remedies.end()
    failures = []
    if remedies.rise < RISEN:
        failures.append("the network does not overfit")
    failures += [
        f"{name} does not help in every training"
        for name in (STOPPING, DROPOUT, DECAY)
        if not (end[name] < end[NOTHING]).all()
    ]
    middle = {name: float(np.median(losses)) for name, losses in end.items()}
    found = (
        f"on unseen weeks the loss rises to {remedies.rise:.2f} times its least and ends at {middle[NOTHING]:.3f} with "
        f"nothing done against it, {middle[STOPPING]:.3f} with early stopping, {middle[DROPOUT]:.3f} with dropout and "
        f"{middle[DECAY]:.3f} with weight decay"
    )
    return judged(failures, found)


def pictures(remedies: Remedies) -> tuple[Picture, ...]:
    """The losses by epoch without a remedy, and where each way ends."""
    from plotly import graph_objects as go

    curves = go.Figure()
    sets = (("trained on", remedies.trained, QUIET), ("kept for validation", remedies.kept, OTHERS[3]))
    for name, losses, color in (*sets, ("unseen", remedies.unseen, BASELINE)):
        middle = np.median(losses[NOTHING], axis=0)
        epochs = np.arange(1, len(middle) + 1)
        curves.add_trace(line(name, color, epochs, middle))
    stop = int(np.median(remedies.kept[NOTHING].argmin(1))) + 1
    below = {"annotation_position": "bottom right"}
    curves.add_vline(
        stop, line_color=ACTUAL, line_dash="dot", annotation_text="early stopping keeps these weights", **below
    )
    styled(curves, "epoch", "cross-entropy, nats").update_yaxes(rangemode="tozero")
    trained = float(np.median(remedies.trained[NOTHING][:, -1]))
    end = remedies.end()
    middle_of = {name: float(np.median(losses)) for name, losses in end.items()}
    rises = "rises again" if remedies.rise >= RISEN else "does not rise"
    first = Picture(
        f"On what it trains on the loss falls to {trained:.2f}, on unseen weeks it {rises} and ends at "
        f"{middle_of[NOTHING]:.2f}",
        f"{remedies.weights:,} weights learn from {remedies.values:,} hourly values of one place, with nothing done "
        f"against overfitting; the median of {len(remedies.kept[NOTHING])} trainings. Cross-entropy: minus the "
        "logarithm of the probability that the range of values that came was given.",
        curves,
    )
    ends = go.Figure()
    for place, (name, ended) in enumerate(end.items()):
        beside = place + np.linspace(-0.12, 0.12, len(ended))  # trainings that end alike stay apart
        look = {"color": COLOURS[name], "size": 11, "line": {"color": "white", "width": 1}}
        ends.add_trace(go.Scatter(x=ended, y=beside, mode="markers", marker=look, name=name, showlegend=False))
    styled(ends, "cross-entropy on unseen weeks, nats", height=320)
    ends.update_yaxes(range=[len(end) - 0.5, -0.5], tickvals=list(range(len(end))), ticktext=list(end))
    ends.update_layout(hovermode="closest")
    best = min(middle_of, key=lambda name: middle_of[name])
    saved = 1 - middle_of[best] / middle_of[NOTHING]
    title = f"{best[0].upper()}{best[1:]} helps most: {100 * saved:.0f} % less loss on unseen weeks"
    second = Picture(
        title if best != NOTHING else "Nothing helps: all remedies end with a higher loss",
        "One dot for each training, with the weights it ends with: the last ones, or those early stopping kept. They "
        "can be combined, and are: this project's networks use all three.",
        ends,
    )
    return first, second
