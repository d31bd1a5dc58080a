"""Stochastic weight averaging: the mean of the weights along the end of a training."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch.optim.swa_utils import AveragedModel

from forecast.module import ForecastModule


class WeightAveraging(Callback):
    """Validates and saves the mean of the weights after each of the last steps (Izmailov et al. 2018).

    The averaged weights take the place of the trained ones from each validation to the start of the next
    epoch, so that the epoch kept is the one whose average is best, and at the training's end. Where the average begins
    goes by the training's progress: a time limit does not leave it out. Our networks have no batch
    normalisation, whose statistics would have to be taken anew.

    Lightning's callback of this name averages too, but has no part in a checkpoint of weights alone.

    Args:
        share: Share of the training that is averaged, above 0.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self._average: AveragedModel | None = None
        self._trained: dict[str, Any] = {}
        self._resumed: dict[str, Any] = {}

    def state_dict(self) -> dict[str, Any]:
        average = self._average.state_dict() if self._average is not None else {}
        return {"average": dict(average), "trained": self._trained}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._resumed, self._trained = state_dict["average"], state_dict["trained"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._resumed and isinstance(pl_module, ForecastModule):
            self._average = AveragedModel(pl_module.network)
            self._average.load_state_dict(self._resumed)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if isinstance(pl_module, ForecastModule) and pl_module.progress > 1 - self.share:
            self._average = self._average or AveragedModel(pl_module.network)
            self._average.update_parameters(pl_module.network)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._average is not None and isinstance(pl_module, ForecastModule):
            self._trained = {name: value.clone() for name, value in pl_module.network.state_dict().items()}
            pl_module.network.load_state_dict(self._average.module.state_dict())

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._average is not None and isinstance(pl_module, ForecastModule):
            pl_module.network.load_state_dict(self._average.module.state_dict())

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._trained and isinstance(pl_module, ForecastModule):
            pl_module.network.load_state_dict(self._trained)
            self._trained = {}
