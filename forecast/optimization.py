"""How the weights are moved: optimizers, and schedules of their learning rate."""

import math
from collections.abc import Callable, Iterable

from pytorch_lightning.utilities.types import LRSchedulerConfigType
from torch import nn, optim
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from forecast.config import TrainingConfig

WARM_UP = 0.15  # share of the training in which the learning rate of the one-cycle schedule rises
MOMENTUM = {"sgd": 0.9}
WEIGHT_DECAY = {"adamw": 1e-2}  # decoupled; the others' penalty on the loss is off unless asked for
PLATEAU_EPOCHS, PLATEAU_FACTOR = 3, 0.3  # epochs without a better validation loss, and what the rate is multiplied by


def build_optimizer(parameters: Iterable[nn.Parameter], config: TrainingConfig) -> Optimizer:
    """The optimizer of a training, with the settings left open at what suits it."""
    kind, rate = config.optimizer, config.learning_rate
    decay = WEIGHT_DECAY.get(kind, 0.0) if config.weight_decay is None else config.weight_decay
    momentum = MOMENTUM.get(kind, 0.0) if config.momentum is None else config.momentum
    if kind == "sgd":
        return optim.SGD(parameters, rate, momentum=momentum, weight_decay=decay)
    if kind == "rmsprop":
        return optim.RMSprop(parameters, rate, momentum=momentum, weight_decay=decay)
    if kind == "adam":
        return optim.Adam(parameters, rate, weight_decay=decay, fused=True)
    return optim.AdamW(parameters, rate, weight_decay=decay, fused=True)


def build_schedule(
    optimizer: Optimizer, config: TrainingConfig, progress: Callable[[], float], monitor: str
) -> LRSchedulerConfigType:
    """The schedule of a training, in Lightning's form.

    Args:
        optimizer: Whose learning rate it sets.
        config: Which schedule.
        progress: How much of the training is done, 0 to 1, asked at every step.
        monitor: The name of the loss that "plateau" follows.
    """
    if config.schedule == "plateau":
        plateau = ReduceLROnPlateau(optimizer, factor=PLATEAU_FACTOR, patience=PLATEAU_EPOCHS - 1)
        return {"scheduler": plateau, "interval": "epoch", "monitor": monitor}
    factor = SCHEDULES[config.schedule]
    return {"scheduler": LambdaLR(optimizer, lambda _: factor(progress())), "interval": "step"}


def one_cycle(progress: float) -> float:
    """The learning rate's factor: a line up to 1, then half a cosine down to 0 (Smith 2018, arXiv 1803.09820)."""
    if progress < WARM_UP:
        return max(progress / WARM_UP, 0.02)
    return cosine((progress - WARM_UP) / (1 - WARM_UP))


def cosine(progress: float) -> float:
    """The learning rate's factor: half a cosine from 1 down to 0 (Loshchilov and Hutter 2017, arXiv 1608.03983)."""
    return 0.5 * (1 + math.cos(math.pi * progress))


SCHEDULES = {"one-cycle": one_cycle, "cosine": cosine}
