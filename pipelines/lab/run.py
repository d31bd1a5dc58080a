"""The experiments, one after the other."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch

from forecast.config import nearest
from forecast.errors import ParameterError, Problem
from forecast.table import SeriesTable
from pipelines.lab import depth, learning_rate, memory, one_batch, optimizers, outputs, overfitting
from pipelines.lab.experiment import Experiment

EXPERIMENTS: dict[str, Callable[[SeriesTable], Experiment]] = {
    "one-batch": one_batch.run,
    "memory": memory.run,
    "depth": depth.run,
    "learning-rate": learning_rate.run,
    "optimizers": optimizers.run,
    "overfitting": overfitting.run,
    "outputs": outputs.run,
}


def check_names(names: Sequence[str]) -> list[str]:
    """The experiments asked for, in their order; all where none is named.

    Raises:
        ParameterError: There is none of that name.
    """
    for name in names:
        if name not in EXPERIMENTS:
            raise ParameterError(
                Problem(f"there is no experiment {name!r}", nearest(name, list(EXPERIMENTS)), field="only")
            )
    return [name for name in EXPERIMENTS if name in names or not names]


def experiments(table: SeriesTable, names: Sequence[str]) -> Iterator[tuple[str, Experiment]]:
    """Do experiments on the bundled series, each as soon as it is asked for.

    Args:
        table: The bundled series.
        names: Which, as `check_names` gave them.
    """
    for name in names:
        began = time.monotonic()
        with _one_thread():
            done = EXPERIMENTS[name](table)
        yield name, replace(done, seconds=round(time.monotonic() - began, 1))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Threads that wait for each other cost networks as small as these more than a second core gives."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
