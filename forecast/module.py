"""The LightningModule: loss, optimizer and schedule around a network, and nothing else."""

import math
import time

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from forecast.config import ForecasterConfig
from forecast.networks import Network
from forecast.outputs import pinball_loss
from forecast.windows import Batch

WARM_UP = 0.15  # share of the training in which the learning rate rises


class ForecastModule(pl.LightningModule):
    """Trains a network on the pinball loss, in units of each window's own scale.

    Args:
        network: The network.
        config: A resolved configuration.
        total_steps: Batches in the whole training.
    """

    def __init__(self, network: Network, config: ForecasterConfig, total_steps: int) -> None:
        super().__init__()
        self.network = network
        self.training_config = config.training
        self.total_steps = total_steps
        self.register_buffer("levels", torch.tensor(config.quantile_levels), persistent=False)
        self._started = time.monotonic()

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        known = batch.known
        if self.training_config.calendar_dropout and known.shape[-1]:
            known = known * (torch.rand(len(known), 1, 1, device=known.device) >= self.training_config.calendar_dropout)
        loss, _ = self._loss(batch._replace(known=known))
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        loss, weight = self._loss(batch)
        self.log("val_loss", loss, on_step=False, on_epoch=True, batch_size=max(1, int(weight)))

    def on_train_start(self) -> None:
        self._started = time.monotonic()

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW under one cycle (Smith 2018): up over the first steps, down to nothing at the end.

        With a time limit the cycle follows the clock where that is ahead of the steps, so that training
        cut short is annealed all the same.
        """
        config = self.training_config
        optimizer = torch.optim.AdamW(self.parameters(), config.learning_rate, weight_decay=config.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: one_cycle(self.progress))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    @property
    def progress(self) -> float:
        """How much of the training is done, by steps or by the clock: 0 to 1."""
        done = self.global_step / self.total_steps
        if self.training_config.max_minutes is not None:
            done = max(done, (time.monotonic() - self._started) / (60 * self.training_config.max_minutes))
        return min(done, 1.0)

    def _loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The loss, and how many values it is the mean of. Windows without a scale have no say."""
        output, frame = self.network.scaled(batch.context, batch.observed, batch.known)
        size = frame.size.masked_fill(frame.size == 0, 1)
        target = (batch.target - frame.base) / size
        weight = (batch.target_observed & (frame.size > 0)).to(target.dtype)
        return pinball_loss(output, target, self.levels, weight), weight.sum()  # type: ignore[arg-type]


def one_cycle(progress: float) -> float:
    """The learning rate's factor: a line up to 1, then half a cosine down to 0."""
    if progress < WARM_UP:
        return max(progress / WARM_UP, 0.02)
    return 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))
