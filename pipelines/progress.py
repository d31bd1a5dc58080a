"""How far a training is: a bar with the time left on a terminal, plain lines elsewhere."""

import time
from typing import Any, Self

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from forecast.module import ForecastModule
from forecast.training import epoch_metrics

SECONDS_BETWEEN_LINES = 3


class TrainingProgress(Callback):
    """Shows the progress of a training, with its current losses.

    Args:
        console: Where to.
        label: What is being trained.
        networks: How many, one after the other.
    """

    def __init__(self, console: Console, label: str, networks: int = 1) -> None:
        self.console = console
        self.label = label
        self.networks = networks
        self._finished = 0
        self._losses = ""
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(label, total=1.0, losses="")
        self._started = self._last = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if not isinstance(pl_module, ForecastModule):
            return
        done, now = (self._finished + pl_module.progress) / self.networks, time.monotonic()
        self._bar.update(self._task, completed=done)
        if not self.console.is_terminal and now - self._last > SECONDS_BETWEEN_LINES:
            self._last = now
            left = (now - self._started) * (1 - done) / max(done, 1e-6)
            self.console.print(f"{self.label}: {done:4.0%}, about {left:.0f} s left{self._losses}")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        losses = epoch_metrics(trainer)
        validation = f", validation {losses['val_loss']:.4f}" if "val_loss" in losses else ""
        shown = f"loss {losses['train_loss']:.4f}{validation}"
        self._losses = f", {shown}"
        self._bar.update(self._task, losses=shown)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._finished += 1
        self._bar.update(self._task, completed=self._finished / self.networks)
