"""What gradients and weights do while a network is trained: a Lightning callback that costs next to nothing."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from torch.optim import Optimizer

from forecast.inspection.gradients import length_of, parameter_groups
from forecast.inspection.results import Bools, Floats, Ints, Result, grid
from forecast.module import ForecastModule

EVERY = 10  # steps between two that are looked at: well under 3 % of the training time


@dataclass(frozen=True)
class TrainingGradients(Result):
    """S steps of a training that were looked at, for G groups of parameters.

    Attributes:
        groups: G names, as in `ParameterGradients`.
        step: `(S,)` which step of the training, from 0.
        gradient_norm: `(S, G)` length of the gradient, before it was clipped.
        weight_norm: `(S, G)` length of the parameters, before the step.
        update_norm: `(S, G)` length of what the step added to them.
        clipped: `(S,)` whether the whole gradient was longer than allowed.
    """

    groups: tuple[str, ...]
    step: Ints
    gradient_norm: Floats
    weight_norm: Floats
    update_norm: Floats
    clipped: Bools

    @property
    def update_ratio(self) -> Floats:
        """`(S, G)` update over weight; about 1e-3 is usual. NaN where all weights are 0."""
        ratio: Floats = np.divide(
            self.update_norm,
            self.weight_norm,
            out=np.full_like(self.update_norm, np.nan),
            where=self.weight_norm > 0,
        )
        return ratio

    @property
    def whole_update_ratio(self) -> Floats:
        """`(S,)` the same of all parameters as one vector."""
        ratio: Floats = np.sqrt((self.update_norm**2).sum(1) / np.maximum((self.weight_norm**2).sum(1), 1e-300))
        return ratio

    @property
    def clipped_share(self) -> float:
        """Share of steps whose gradient was clipped; NaN where none was looked at."""
        return float(self.clipped.mean()) if len(self.clipped) else float("nan")

    def summary(self) -> dict[str, Any]:
        if not len(self.step):
            return {"steps": 0}
        ratios = np.median(self.update_norm / np.maximum(self.weight_norm, 1e-300), axis=0)
        return {
            "steps": len(self.step),
            "clipped_share": self.clipped_share,
            "update_ratio": float(np.median(self.whole_update_ratio)),
            "update_ratio_by_group": dict(zip(self.groups, map(float, ratios), strict=True)),
            "gradient_norm": float(np.median(np.sqrt((self.gradient_norm**2).sum(1)))),
        }

    def table(self) -> pd.DataFrame:
        """`step, group, gradient_norm, weight_norm, update_norm, clipped`."""
        frame = grid(self.gradient_norm, "gradient_norm", ("step", self.step), ("group", self.groups))
        clipped = np.repeat(self.clipped, len(self.groups))
        return frame.assign(weight_norm=self.weight_norm.ravel(), update_norm=self.update_norm.ravel(), clipped=clipped)


class GradientRecorder(Callback):
    """Looks at every so many steps of a training.

    Several trainings (the members of an ensemble) are kept one after the other. What was seen before a training was
    cut off is kept in its checkpoint, and goes on when it is resumed; a training that was finished before is not
    repeated, and so not seen.

    Args:
        every: Steps between two that are looked at; 1 sees all.
    """

    def __init__(self, every: int = EVERY) -> None:
        self.every = every
        self._trainings: list[_Kept] = []
        self._before: list[Tensor] | None = None

    @property
    def trainings(self) -> list[TrainingGradients]:
        """One for each training, in their order."""
        return [kept.result() for kept in self._trainings]

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._parameters = parameter_groups(pl_module.network if isinstance(pl_module, ForecastModule) else pl_module)
        self._trainings.append(_Kept(list(self._parameters)))

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        if trainer.global_step % self.every:
            return
        kept = self._trainings[-1]
        groups = self._parameters.values()
        gradients = [length_of([one.grad for one in group if one.grad is not None]) for group in groups]
        kept.step.append(trainer.global_step)
        kept.gradient_norm.append(gradients)
        kept.clipped.append(float(np.linalg.norm(gradients)) > (trainer.gradient_clip_val or float("inf")))
        kept.weight_norm.append([length_of([weight.detach() for weight in group]) for group in groups])
        self._before = [weight.detach().clone() for group in self._parameters.values() for weight in group]

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if self._before is None:
            return
        now = [weight.detach() for group in self._parameters.values() for weight in group]
        moved = iter(torch._foreach_sub(now, self._before))
        self._trainings[-1].update_norm.append(
            [length_of([next(moved) for _ in group]) for group in self._parameters.values()]
        )
        self._before = None

    def state_dict(self) -> dict[str, Any]:
        return asdict(self._trainings[-1]) if self._trainings else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if state_dict and self._trainings:
            self._trainings[-1] = _Kept(**state_dict)


@dataclass
class _Kept:
    """Plain lists, so that a checkpoint holds them without pickle; one entry a step."""

    groups: list[str]
    step: list[int] = field(default_factory=list)
    gradient_norm: list[list[float]] = field(default_factory=list)
    weight_norm: list[list[float]] = field(default_factory=list)
    update_norm: list[list[float]] = field(default_factory=list)
    clipped: list[bool] = field(default_factory=list)

    def result(self) -> TrainingGradients:
        steps = len(self.update_norm)  # a step that was cut off has no update
        shape = (steps, len(self.groups))
        norms = (self.gradient_norm[:steps], self.weight_norm[:steps], self.update_norm)
        gradient, weight, update = (np.array(one, np.float64).reshape(shape) for one in norms)
        clipped, step = np.array(self.clipped[:steps], bool), np.array(self.step[:steps], np.int64)
        return TrainingGradients(tuple(self.groups), step, gradient, weight, update, clipped)
