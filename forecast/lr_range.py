"""The learning-rate range test: which rates a network can be trained with."""

from copy import deepcopy
from math import inf
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from forecast.auto import resolve
from forecast.config import ForecasterConfig
from forecast.datamodule import WindowsDataModule
from forecast.module import ForecastModule
from forecast.optimization import build_optimizer
from forecast.saved import build_network
from forecast.table import SeriesTable

LOWEST, HIGHEST = 1e-6, 1.0
MEMORY = 0.9  # what a smoothed loss keeps of the one before
DIVERGED = 4.0  # times the least loss


class LearningRateRange(NamedTuple):
    """What a range test found; S steps, fewer than asked where the loss left all bounds.

    Attributes:
        learning_rates: `(S,)` the rate of each step, ascending.
        losses: `(S,)` the smoothed training loss before it, in units of the untrained network's on the same
            batch: batches differ more than steps do.
        suggestion: A learning rate to train with.
    """

    learning_rates: npt.NDArray[np.float64]
    losses: npt.NDArray[np.float64]
    suggestion: float


def learning_rate_range_test(config: ForecasterConfig, table: SeriesTable, steps: int = 100) -> LearningRateRange:
    """Train a fresh network for a few steps, each with a higher learning rate (Smith 2017, arXiv 1506.01186).

    The rate grows by the same factor from step to step. The one suggested is a tenth of that at which the
    smoothed loss is least: by then the loss is about to rise, a tenth of it is well before. Nothing but
    the answer remains: neither the configuration nor the table nor the random numbers are changed.

    Args:
        config: What is to be trained, of an ensemble the first network; its learning rate and its schedule
            are not looked at.
        table: The training data.
        steps: Batches, at the most.

    Raises:
        DataError: No series is long enough, or they are of another frequency.
        ParameterError: The settings do not fit the data.
    """
    config = resolve(config, table).networks[0]
    endless = config.training.model_copy(update={"batches_per_epoch": steps})
    rates = np.geomspace(LOWEST, HIGHEST, steps)
    losses: list[float] = []
    with torch.random.fork_rng():
        torch.manual_seed(config.training.seed)
        batches = WindowsDataModule(table, config.model_copy(update={"training": endless})).train_dataloader()
        module = ForecastModule(build_network(config), config, steps)
        untrained = deepcopy(module)
        optimizer = build_optimizer(module.parameters(), config.training)
        mean, least = 0.0, inf
        for step, (rate, batch) in enumerate(zip(rates, batches, strict=True), 1):
            loss = module.training_loss(batch)
            with torch.no_grad():
                share = float(loss / untrained.training_loss(batch).clamp(min=1e-9))
            mean = MEMORY * mean + (1 - MEMORY) * share
            smoothed = mean / (1 - MEMORY**step)
            least = min(least, smoothed)
            if not smoothed <= DIVERGED * least:
                break
            losses.append(smoothed)
            optimizer.param_groups[0]["lr"] = float(rate)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(module.parameters(), config.training.gradient_clip)
            optimizer.step()
    return LearningRateRange(rates[: len(losses)], np.array(losses), float(rates[np.argmin(losses)]) / 10)
