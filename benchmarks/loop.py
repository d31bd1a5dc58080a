"""What the real path costs beyond the arithmetic: Forecaster.fit against a bare torch loop."""

import time
from collections.abc import Callable
from itertools import pairwise
from statistics import median

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch.nn.utils import clip_grad_norm_
from torch.optim.lr_scheduler import LambdaLR

from benchmarks.pairs import Summary, compare
from forecast import Forecaster, ForecasterConfig, SeriesTable, TrainingConfig
from forecast.auto import resolve
from forecast.config import NetworkConfig
from forecast.datamodule import WindowsDataModule
from forecast.module import ForecastModule
from forecast.optimization import build_optimizer, one_cycle
from forecast.saved import build_network

HORIZON = 48
EPOCHS = 16  # the first is a warm-up; an epoch takes about half a second, and the machine is never quite quiet


def measure(table: SeriesTable, pairs: int, batches: int) -> Summary:
    """Compare whole epochs (training, validation and what lies between) of both, in turns.

    Args:
        table: What is trained on.
        pairs: Turns.
        batches: Gradient steps in an epoch.

    Returns:
        For each network windows per second, and the share of the bare loop's that is reached.
    """
    return {kind: _measure(_config(table, kind, batches), table, pairs) for kind in ("lstm", "feedforward")}


def _measure(config: ForecasterConfig, table: SeriesTable, pairs: int) -> Summary:
    ours, bare = [], []
    windows = config.training.batch_size * config.training.batches_per_epoch
    for _ in range(pairs):
        ours.append(windows / _epoch_seconds(lambda done: _fit(config, table, done)))
        bare.append(windows / _epoch_seconds(lambda done: _bare(config, table, done)))
    return compare(ours, bare)


def _config(table: SeriesTable, kind: str, batches: int) -> ForecasterConfig:
    training = TrainingConfig(max_epochs=EPOCHS, batches_per_epoch=batches)
    network = NetworkConfig.build(kind=kind)
    return resolve(ForecasterConfig(prediction_length=HORIZON, network=network, training=training), table)


def _epoch_seconds(train: Callable[[Callable[[], None]], None]) -> float:
    """Train, with a function to call at the end of each epoch: the median time between two ends."""
    ends: list[float] = []
    train(lambda: ends.append(time.perf_counter()))
    return median(after - before for before, after in pairwise(ends))


class _EpochEnd(Callback):
    def __init__(self, done: Callable[[], None]) -> None:
        self.done = done

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.done()


def _fit(config: ForecasterConfig, table: SeriesTable, done: Callable[[], None]) -> None:
    Forecaster.from_config(config).fit(table, [_EpochEnd(done)])


def _bare(config: ForecasterConfig, table: SeriesTable, done: Callable[[], None]) -> None:
    """The same training by hand, on batches made beforehand: cutting windows is a cost of the real path."""
    torch.manual_seed(config.training.seed)
    data = WindowsDataModule(table, config)
    batches, validation = list(data.train_dataloader()), list(data.val_dataloader())
    module = ForecastModule(build_network(config), config, EPOCHS * len(batches))
    optimizer = build_optimizer(module.parameters(), config.training)
    schedule = LambdaLR(optimizer, lambda step: one_cycle(min(step / module.total_steps, 1.0)))
    for _ in range(EPOCHS):
        module.train()
        for batch in batches:
            optimizer.zero_grad()
            module.training_loss(batch).backward()  # type: ignore[no-untyped-call]
            clip_grad_norm_(module.parameters(), config.training.gradient_clip)
            optimizer.step()
            schedule.step()
        module.eval()
        with torch.no_grad():
            for batch in validation:
                module.training_loss(batch)
        done()
