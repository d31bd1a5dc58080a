"""Cost per window, and memory, by the number of series. Each size is measured in a process of its own.

What counts as data is the table's arrays (values, mask, offsets, lengths, starts, names). Memory is the
highest resident size reached from before the table is made to the end of the training, less the size before;
a small training beforehand has loaded what every training loads. Reads /proc, so Linux only.
"""

import json
import re
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks.pairs import Summary
from benchmarks.rates import StepClock
from forecast import Forecaster, SeriesTable, TrainingConfig
from forecast.calendar import Frequency

LENGTH, HORIZON = 500, 48
WARM_UP = 5


def measure(counts: list[int], repeats: int, steps: int) -> list[Summary]:
    """Measure tables of each number of series, in turns; medians.

    Returns:
        For each count `series`, `microseconds` per window, `setup_seconds` from the call of fit to the first
        step, and the `data_bytes` and `peak_bytes` of memory.
    """
    rows: list[list[Summary]] = [[_in_own_process(count, steps) for count in counts] for _ in range(repeats)]
    return [
        {name: median(row[name] for row in same) for name in same[0]}
        for same in (list(c) for c in zip(*rows, strict=True))
    ]


def _in_own_process(count: int, steps: int) -> Summary:
    command = [sys.executable, "-m", __spec__.name, str(count), str(steps), str(torch.get_num_threads())]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: Summary = json.loads(done.stdout.splitlines()[-1])
    return result


def _measure_one(count: int, steps: int) -> Summary:
    _fit(_table(100), 2)
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    table = _table(count)
    begin = time.perf_counter()
    clock = _fit(table, steps)
    per_step = np.diff(clock.started[WARM_UP:])
    return {
        "series": count,
        "microseconds": float(np.median(per_step)) / clock.windows[-1] * 1e6,
        "setup_seconds": clock.started[0] - begin,
        "data_bytes": sum(array.nbytes for array in _arrays(table)),
        "peak_bytes": _memory("VmHWM") - before,
    }


def _fit(table: SeriesTable, steps: int) -> StepClock:
    clock = StepClock()
    training = TrainingConfig(max_epochs=1, batches_per_epoch=steps + WARM_UP)
    Forecaster("lstm", HORIZON, training=training).fit(table, [clock])
    return clock


def _table(count: int) -> SeriesTable:
    """Noise around a daily season; each series of a size of its own."""
    generator = np.random.default_rng(0)
    values = generator.standard_normal((count, LENGTH), np.float32)
    values += 2 * np.sin(np.arange(LENGTH, dtype=np.float32) * np.float32(2 * np.pi / 24))
    values *= generator.lognormal(size=(count, 1)).astype(np.float32)
    return SeriesTable(
        item_ids=np.arange(count).astype("str").astype(object),
        values=values.reshape(-1),
        observed=np.ones(count * LENGTH, bool),
        offsets=np.arange(count) * LENGTH,
        lengths=np.full(count, LENGTH),
        starts=np.full(count, np.datetime64("2024-01-01", "us")),
        frequency=Frequency.parse("h"),
    )


def _arrays(table: SeriesTable) -> list[np.ndarray]:
    values = (getattr(table, field.name) for field in fields(table))
    return [value for value in values if isinstance(value, np.ndarray)]


def _memory(field: str) -> int:
    """A size of this process, in bytes."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[3]))
    print(json.dumps(_measure_one(int(sys.argv[1]), int(sys.argv[2]))))
