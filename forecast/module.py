"""The LightningModule: loss, optimizer and schedule around a network, and nothing else."""

import time
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from forecast.calendar import feature_names
from forecast.config import ForecasterConfig
from forecast.datamodule import EPOCHS_OF_A_SEED
from forecast.errors import Problem, TrainingError
from forecast.loss import batch_loss
from forecast.networks import Network
from forecast.optimization import build_optimizer, build_schedule
from forecast.windows import Batch


class ForecastModule(pl.LightningModule):
    """Trains a network on the loss of its head.

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
        self.calendar_size = len(feature_names(config.calendar_frequency))
        self._started = time.monotonic()
        self._spent = 0.0  # seconds, before the training was cut off and resumed
        self._missed: float | None = None
        self._losses: list[Tensor] = []

    def on_train_batch_start(self, batch: Batch, batch_index: int) -> None:
        # Each epoch has random numbers of its own, so that a training that is resumed goes on as it would have.
        if batch_index == 0:
            torch.manual_seed(self.training_config.seed * EPOCHS_OF_A_SEED + self.current_epoch)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        loss = self.training_loss(batch)
        self._losses.append(loss.detach())
        return loss

    def on_train_batch_end(self, *_: object) -> None:
        # Once an epoch: to log every step would cost as much as cutting its windows.
        if self.trainer.is_last_batch or self.trainer.should_stop:
            self.log("train_loss", torch.stack(self._losses).mean(), on_step=False, on_epoch=True)
            self._losses.clear()

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        loss, weight = self._loss(batch)
        self.log("val_loss", loss, on_step=False, on_epoch=True, batch_size=max(1, int(weight)))

    def training_loss(self, batch: Batch) -> Tensor:
        """The loss that is trained on: some windows are read without their calendar."""
        known = batch.known
        if self.training_config.calendar_dropout and self.calendar_size:
            kept = torch.rand(len(known), 1, 1, device=known.device) >= self.training_config.calendar_dropout
            others = kept.new_ones(len(known), 1, known.shape[-1] - self.calendar_size)
            known = known * torch.cat((kept.expand(-1, -1, self.calendar_size), others), dim=-1)
        loss, _ = self._loss(batch._replace(known=known))
        return loss

    def on_train_start(self) -> None:
        self._started = time.monotonic()
        schedule = self.lr_schedulers()
        if self._missed is not None and isinstance(schedule, ReduceLROnPlateau):
            schedule.step(self._missed)  # Lightning saves before it, and leaves it out when it resumes

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimizer and the schedule of the configuration.

        With a time limit the schedule follows the clock where that is ahead of the steps, so that training
        cut short is annealed all the same (but for "plateau", which follows the validation loss).
        """
        optimizer = build_optimizer(self.parameters(), self.training_config)
        schedule = build_schedule(optimizer, self.training_config, lambda: self.progress, self._monitor)
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    @property
    def progress(self) -> float:
        """How much of the training is done, by steps or by the clock: 0 to 1."""
        done = self.global_step / self.total_steps
        if self.training_config.max_minutes is not None:
            done = max(done, self._seconds() / (60 * self.training_config.max_minutes))
        return min(done, 1.0)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["seconds"] = self._seconds()
        checkpoint["monitored"] = float(self.trainer.callback_metrics[self._monitor])

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._spent, self._missed = checkpoint["seconds"], checkpoint["monitored"]

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Shorten the gradient to the longest allowed; one that is not a number ends the training before it does harm.

        Raises:
            TrainingError: Names the layer where that began.
        """
        norm = clip_grad_norm_(self.network.parameters(), self.training_config.gradient_clip)
        if not torch.isfinite(norm):
            raise TrainingError(self._gone_wrong())

    def _gone_wrong(self) -> Problem:
        # Gradients are made from the output towards the input: the last layer with a bad one had it first.
        gradients = {name: weights.grad for name, weights in self.network.named_parameters()}
        bad = [name for name, gradient in gradients.items() if gradient is not None and not gradient.isfinite().all()]
        layer = bad[-1].rpartition(".")[0]
        when = f"epoch {self.current_epoch + 1}, step {self.global_step + 1}"
        return Problem(
            f"training stopped in {when}: the loss is {float(self._losses[-1]):.4g}, and the gradient of {layer!r} was "
            "the first that is not a number",
            f"lower training.learning_rate ({self.training_config.learning_rate}), or look for odd values in the data",
            field="training.learning_rate",
        )

    @property
    def _monitor(self) -> str:
        """What a schedule that follows the loss goes by: that of validation, where there is one."""
        return "val_loss" if self.trainer.limit_val_batches else "train_loss"

    def _seconds(self) -> float:
        return self._spent + time.monotonic() - self._started

    def _loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The loss, and how many values it is the mean of."""
        return batch_loss(self.network, batch, self.training_config.error_unit)
