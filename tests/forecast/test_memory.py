"""What a large table costs, measured in a process of its own."""

import subprocess
import sys

import pytest

READ = """
import re, sys
import numpy as np, pandas as pd, torch
from forecast import read_series
from forecast.windows import Windows

def memory(field):
    return int(re.search(field + r":\\s+(\\d+) kB", open("/proc/self/status").read())[1]) * 1024

series, length = int(sys.argv[1]), 1000
codes = np.repeat(np.arange(series), length)
frame = pd.DataFrame({
    "item_id": pd.Series([f"item_{i:06d}" for i in range(series)], dtype="str").take(codes).array,
    "timestamp": np.tile(np.datetime64("2020-01-01", "us") + np.arange(length).astype("m8[h]"), series),
    "target": np.random.default_rng(0).normal(size=series * length),
})
del codes
read_series(frame[:2000])  # what the first call loads is no part of it
own = frame.memory_usage(deep=True).sum()
open("/proc/self/clear_refs", "w").write("5")  # the peak starts anew
before = memory("VmRSS")
windows = Windows(read_series(frame), 336, 48)
windows.gather(torch.arange(256) % series, torch.full((256,), 500))
print((own + memory("VmHWM") - before) / own)
"""


def ratio(series: int) -> float:
    """Peak memory while a table is read and cut into windows, the table itself included, over the table's."""
    done = subprocess.run([sys.executable, "-c", READ, str(series)], capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("series", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_table_needs_no_more_than_three_times_its_own_memory(series):
    assert ratio(series) < 3
