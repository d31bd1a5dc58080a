"""Losses by epoch, sent to the run while the training goes on."""

import math
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from rich.console import Console

from forecast.errors import RegistryUnavailable
from forecast.training import epoch_metrics
from pipelines.runs import PATIENCE, is_disk_full, waits
from pipelines.tracking import registry_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

MOST_AT_ONCE = 1000  # metrics that MLflow takes in one request


class RunMetrics:
    """Sends each epoch's losses to a run, from a thread of its own: a store that is slow or away stops no training.

    One request is on its way at a time, and what came meanwhile goes with the next. All of it is in the store
    when the `with` block ends; where the store is away by then, it is waited for, unless the block ends with an
    error. What else the store says is raised at the next epoch's end or that of the block.

        with RunMetrics(client, run_id) as metrics:
            forecaster.fit(table, [metrics.curves()])

    Args:
        client: MLflow's client.
        run_id: The run.
        console: Where it is said that the store is away, if anywhere.

    Raises:
        ParameterError: There is no such run.
        RegistryUnavailable: The tracking store does not answer.
    """

    def __init__(self, client: "MlflowClient", run_id: str, console: Console | None = None) -> None:
        self.client = client
        self.run_id = run_id
        self.console = console
        self._waiting: list[Metric] = []
        self._error: Exception | None = None
        self._closed = False
        self._latest = math.inf  # the moment at which a store that is away is given up
        self._changed = threading.Condition()  # guards all of these
        self._thread = threading.Thread(target=self._send, name="run metrics", daemon=True)

    def curves(self, networks: int = 1, group: str = "train") -> Callback:
        """What to train with: its losses, by epoch, are sent.

        Args:
            networks: How many are trained, one after the other; of several, each has curves with its number.
            group: What the training losses are named by.
        """
        return _Curves(self, networks, group)

    def send(self, metrics: "Sequence[Metric]") -> None:
        """Have these sent as soon as may be."""
        self._raise()
        with self._changed:
            self._waiting += metrics
            self._changed.notify_all()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        with self._changed:
            self._closed = True
            self._latest = time.monotonic() + (0 if error else PATIENCE)
            self._changed.notify_all()
        self._thread.join()
        if error is None:
            self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _send(self) -> None:
        """Send what waits, until there is nothing left and nothing more to come."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                batch = self._waiting[:MOST_AT_ONCE]
            if not batch:
                return
            try:
                self._patiently(batch)
            except Exception as error:  # raised where the training is, whatever it is
                with self._changed:
                    self._error = error
                return
            with self._changed:
                del self._waiting[: len(batch)]

    def _patiently(self, batch: "list[Metric]") -> None:
        tries = waits(self.console)
        while True:
            try:
                with registry_errors(run=self.run_id):
                    self.client.log_batch(self.run_id, metrics=batch)
                return
            except RegistryUnavailable as error:
                if is_disk_full(error) or time.monotonic() > self._latest:
                    raise
            wait = next(tries)
            with self._changed:
                self._changed.wait_for(lambda: time.monotonic() > self._latest, wait)


class _Curves(Callback):
    """Hands over the losses of each epoch."""

    def __init__(self, metrics: RunMetrics, networks: int, group: str) -> None:
        self.metrics, self.networks, self.group = metrics, networks, group
        self._finished = 0

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.metrics.send(_metrics(epoch_metrics(trainer), self._finished, self.networks, self.group))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._finished += 1


def complete(
    client: "MlflowClient", run_id: str, history: Sequence[dict[str, float]], networks: int, group: str = "train"
) -> None:
    """Log the epochs that a process which was killed had trained but not sent.

    Args:
        client: MLflow's client.
        run_id: The run.
        history: All epochs, as `Forecaster.history` has them.
        networks: How many networks were trained.
        group: As in `RunMetrics.curves`.
    """
    known: dict[str, set[int]] = {}
    missing = []
    for epoch in history:
        for metric in _metrics(epoch, int(epoch["member"]), networks, group):
            if metric.key not in known:
                known[metric.key] = {point.step for point in client.get_metric_history(run_id, metric.key)}
            if metric.step not in known[metric.key]:
                missing.append(metric)
    for begin in range(0, len(missing), MOST_AT_ONCE):
        client.log_batch(run_id, metrics=missing[begin : begin + MOST_AT_ONCE])


def _metrics(epoch: dict[str, float], member: int, networks: int, group: str) -> "list[Metric]":
    """An epoch's figures as MLflow's metrics; of several networks, with the number of theirs."""
    from mlflow.entities import Metric

    names = {
        "train_loss": f"{group}/loss",
        "val_loss": "validation/loss",
        "learning_rate": f"{group}/learning_rate",
    }
    number = f" {member + 1:02d}" if networks > 1 else ""
    now, step = int(time.time() * 1000), int(epoch["epoch"])
    return [Metric(names[key] + number, epoch[key], now, step) for key in names if key in epoch]
