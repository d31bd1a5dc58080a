"""The experiments, one after the other."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

from forecast.errors import ParameterError, Problem

if TYPE_CHECKING:
    from forecast.table import SeriesTable
    from pipelines.lab.experiment import Experiment

# Each is the module of its name, imported when it is done: a mistake in a name is told at once.
EXPERIMENTS = ("one-batch", "memory", "depth", "learning-rate", "optimizers", "overfitting", "outputs")


def check_names(names: Sequence[str]) -> list[str]:
    """The experiments asked for, in their order; all where none is named.

    Raises:
        ParameterError: There is none of that name.
    """
    for name in names:
        if name not in EXPERIMENTS:
            from forecast.config import nearest

            raise ParameterError(Problem(f"there is no experiment {name!r}", nearest(name, EXPERIMENTS), field="only"))
    return [name for name in EXPERIMENTS if name in names or not names]


def experiments(table: "SeriesTable", names: Sequence[str]) -> "Iterator[tuple[str, Experiment]]":
    """Do experiments on the bundled series, each as soon as it is asked for.

    Args:
        table: The bundled series.
        names: Which, as `check_names` gave them.
    """
    for name in names:
        module = import_module(f"pipelines.lab.{name.replace('-', '_')}")
        began = time.monotonic()
        with _one_thread():
            done: Experiment = module.run(table)
        yield name, replace(done, seconds=round(time.monotonic() - began, 1))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Threads that wait for each other cost networks as small as these more than a second core gives."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
