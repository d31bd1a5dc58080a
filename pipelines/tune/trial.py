"""One trial: settings trained, judged while they train and in the end. Runs in a process of its own."""

import os
import threading
import warnings
from copy import deepcopy
from dataclasses import dataclass, field
from math import isfinite
from multiprocessing import parent_process
from typing import TYPE_CHECKING, Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from forecast import Forecaster
from forecast.auto import resolve
from forecast.backtest import backtest
from forecast.config import ForecasterConfig
from forecast.errors import DataError, ForecastError, ParameterError, Problem, RegistryUnavailable
from forecast.module import ForecastModule
from forecast.table import SeriesTable
from pipelines.record import RunMetrics
from pipelines.settings import TrainConfig
from pipelines.tracking import connect, registry_errors
from pipelines.tune.study import State, open_storage, pruner, study_errors

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

    from mlflow import MlflowClient

TENTHS = 10  # a training is judged so many times on its way
MOST_JUDGED = 4096  # windows it is judged on then; in the end it is all of them
ON_THE_WAY = "mase"  # the point forecast's error: quantiles may not be fitted before the end
THIS = "trial"


@dataclass(frozen=True)
class Bench:
    """What all trials of a study share.

    Attributes:
        study: Its name.
        history: The series up to the windows that `train` judges by, which no trial sees.
        windows: Windows at the end of the history that trials are judged on; none is trained on them.
        metric: What they are compared by.
    """

    study: str
    history: SeriesTable
    windows: int
    metric: str


@dataclass(frozen=True)
class Task:
    """What one trial needs to know.

    Attributes:
        number: The trial of the study.
        run_id: Its run.
        settings: The tree that `TrainConfig` is built from.
        start: Whether the search starts from these settings: they are never given up early.
    """

    number: int
    run_id: str
    settings: dict[str, Any]
    start: bool


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        state: How.
        metrics: Of the windows it was judged on, where it came so far.
        reason: Why it came no further.
        problems: What keeps the whole search from going on.
    """

    state: State
    metrics: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    problems: tuple[Problem, ...] = ()


def prepare(bench: Bench, stop: "Event") -> None:
    """Make this process one that runs trials, one after the other and each on one thread, until `stop` is set."""
    global _worker  # what the process is for
    _worker = _Worker(bench, stop)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # the process that started this one has shown them
    threading.Thread(target=_end_with_parent, daemon=True).start()


def run_trial(task: Task) -> Outcome:
    """Run a trial in a process that was prepared for it."""
    return _worker.run(task)


class _Worker:
    """What a process that runs trials keeps from one to the next."""

    def __init__(self, bench: Bench, stop: "Event") -> None:
        import optuna

        self.bench, self.stop, self.storage = bench, stop, open_storage()
        self.study = optuna.load_study(study_name=bench.study, storage=self.storage, pruner=pruner())
        self.study_id = self.storage.get_study_id_from_name(bench.study)

    def run(self, task: Task) -> Outcome:
        try:
            with study_errors():
                return Outcome("complete", self._judged(task, connect()))
        except _GivenUp as reason:
            return Outcome("pruned", reason=str(reason))
        except _Stopped:
            return Outcome("stopped")
        except RegistryUnavailable as error:
            return Outcome("stopped", problems=error.problems)
        except (DataError, ParameterError) as error:
            return Outcome("failed", reason=str(error), problems=error.problems if task.start else ())
        except (ForecastError, MemoryError, torch.OutOfMemoryError) as error:
            return Outcome("failed", reason=str(error) or "out of memory")

    def _judged(self, task: Task, client: "MlflowClient") -> dict[str, float]:
        """Train, and judge on windows that were not trained on: all metrics."""
        bench, config = self.bench, TrainConfig.build(**task.settings).forecaster
        known = bench.history.drop_last(bench.windows * config.prediction_length)
        resolved = resolve(config, known)
        watch = _Watch(self, task, resolved, client)
        with RunMetrics(client, task.run_id) as metrics:
            watching = [watch, metrics.curves(len(resolved.networks))]
            forecaster = Forecaster.from_config(resolved).fit(known, watching)
        found = judge(forecaster, bench.history, bench.windows)
        if not isfinite(found[bench.metric]):
            hint = "the series do not vary, or hardly any step was observed; take another --metric"
            raise ParameterError(Problem(f"no window has a {bench.metric}", hint, field="metric"))
        return found


_worker: _Worker


def judge(model: Forecaster, history: SeriesTable, windows: int) -> dict[str, float]:
    """The metrics of a model on the last windows of each series."""
    horizon = model.prediction_length
    return backtest({THIS: model}, history, prediction_length=horizon, windows=windows).metrics(THIS)


class _GivenUp(Exception):
    """The trial does worse than others did at the same point."""


class _Stopped(Exception):
    """The search ends."""


class _Watch(Callback):
    """Judges a network ten times while it trains, and ends the trial that does worse than others or must stop.

    The loss in validation would not do: what it counts in is among the settings searched. A trial's steps are
    tenths of its training, so that trainings of different lengths can be compared.
    """

    def __init__(self, worker: _Worker, task: Task, config: ForecasterConfig, client: "MlflowClient") -> None:
        self.worker, self.task, self.networks, self.client = worker, task, config.networks, client
        history = worker.bench.history
        some = min(len(history), max(1, MOST_JUDGED // worker.bench.windows))
        self.history = history.select(np.linspace(0, len(history) - 1, some).round().astype(np.int64))
        self._finished = self._tenth = 0

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if self.worker.stop.is_set():
            raise _Stopped

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not isinstance(pl_module, ForecastModule):
            return
        tenth = int(TENTHS * pl_module.progress + 1e-9)
        if tenth == self._tenth:
            return
        self._tenth = tenth
        with torch.inference_mode(False):
            network = deepcopy(pl_module.network).cpu()
        model = Forecaster.from_networks(self.networks[self._finished], [network])
        error = judge(model, self.history, self.worker.bench.windows)[ON_THE_WAY]
        if not isfinite(error):
            return
        number = f" {self._finished + 1:02d}" if len(self.networks) > 1 else ""
        with registry_errors():
            self.client.log_metric(
                self.task.run_id, f"search/{ON_THE_WAY} by epoch{number}", error, step=trainer.current_epoch
            )
        study, storage = self.worker.study, self.worker.storage
        trial = storage.get_trial_id_from_study_id_trial_number(self.worker.study_id, self.task.number)
        storage.set_trial_intermediate_value(trial, self._finished * TENTHS + tenth, error)
        if not self.task.start and study.pruner.prune(study, storage.get_trial(trial)):
            raise _GivenUp(f"after {tenth} tenths of the training, MASE {error:.3f} is worse than half of the others'")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._finished, self._tenth = self._finished + 1, 0


def _end_with_parent() -> None:
    """End this process with the one that started it, however that ended: nobody is left to take the result."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
