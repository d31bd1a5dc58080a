"""What is taken from a measurement: rates from the times of steps, ratios from pairs."""

import os
import platform
import statistics
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import torch

Summary = dict[str, Any]


def windows_per_second(started: Sequence[float], windows: Sequence[int], warm_up: int) -> float:
    """Windows that passed through a gradient step each second.

    Args:
        started: When each step began, in seconds.
        windows: Windows in each step.
        warm_up: Steps at the beginning that do not count.
    """
    return sum(windows[warm_up:-1]) / (started[-1] - started[warm_up])


def compare(ours: Sequence[float], theirs: Sequence[float]) -> Summary:
    """Medians, and how many times theirs ours are: the median, lowest and highest of the pairs' ratios."""
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    return {
        "ours": statistics.median(ours),
        "theirs": statistics.median(theirs),
        "ratio": statistics.median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
        "pairs": len(ratios),
    }


def machine() -> Summary:
    """Where a result comes from."""
    packages = ("torch", "pytorch-lightning", "numpy", "pandas")
    return {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processor": platform.machine(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
    }
