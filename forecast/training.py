"""One training run: a function of configuration and data, without global state."""

import logging
import signal
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint

from forecast.averaging import WeightAveraging
from forecast.config import ForecasterConfig
from forecast.datamodule import WindowsDataModule
from forecast.errors import Problem, TrainingError
from forecast.module import ForecastModule
from forecast.networks import Network
from forecast.saved import build_network
from forecast.table import SeriesTable


def train(
    config: ForecasterConfig, table: SeriesTable, callbacks: Sequence[Callback] = ()
) -> tuple[Network, list[dict[str, float]]]:
    """Train a network.

    Args:
        config: A resolved configuration.
        table: The training data, validation windows included.
        callbacks: Lightning callbacks, to watch the training.

    Returns:
        The network with the weights of its best epoch, on the CPU, and one entry per epoch:
        `epoch, train_loss, val_loss, learning_rate`.

    Raises:
        DataError: No series is long enough.
        TrainingError: The loss became infinite or not a number.
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    training = config.training
    recorder = _Recorder()
    with _quiet(), torch.random.fork_rng(), tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(training.seed)
        data = WindowsDataModule(table, config)
        module = ForecastModule(build_network(config), config, training.max_epochs * training.batches_per_epoch)
        best = ModelCheckpoint(folder, monitor="val_loss", save_weights_only=True)
        trainer = pl.Trainer(
            max_epochs=training.max_epochs,
            accelerator="auto",
            devices=1,
            gradient_clip_val=training.gradient_clip,
            num_sanity_val_steps=0,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
            callbacks=[
                EarlyStopping("val_loss", patience=training.patience),
                *([WeightAveraging(training.weight_averaging)] if training.weight_averaging else []),
                best,
                _TimeLimit(),
                recorder,
                *callbacks,
            ],
        )
        with _interrupts():
            trainer.fit(module, data)
        if not best.best_model_path or not all(isfinite(epoch["val_loss"]) for epoch in recorder.epochs):
            raise TrainingError(
                Problem(
                    "the loss became infinite or not a number", "lower training.learning_rate, or look for odd values"
                )
            )
        weights = torch.load(best.best_model_path, map_location="cpu", weights_only=True)["state_dict"]
        module.load_state_dict(weights)
    return module.network.cpu(), recorder.epochs


class _Recorder(Callback):
    """Keeps the losses of each epoch."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.epochs.append(epoch_metrics(trainer))


def epoch_metrics(trainer: pl.Trainer) -> dict[str, float]:
    """What is known at an epoch's end: `epoch, train_loss, val_loss, learning_rate`."""
    losses = {name: float(trainer.callback_metrics[name]) for name in ("train_loss", "val_loss")}
    return {"epoch": trainer.current_epoch, **losses, "learning_rate": trainer.optimizers[0].param_groups[0]["lr"]}


class _TimeLimit(Callback):
    """Ends the training when its time is up."""

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if isinstance(pl_module, ForecastModule) and pl_module.progress >= 1:
            trainer.should_stop = True


@contextmanager
def _interrupts() -> Iterator[None]:
    """Let Ctrl-C be a KeyboardInterrupt: Lightning makes an exit of it, and ignores any that follow."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as ended:
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from ended


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's advice on loaders and devices, meant for its own users, out of ours."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning.*")
            yield
    finally:
        logger.setLevel(level)
