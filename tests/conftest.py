"""A store of its own for every test that tracks, and a table small enough to train on in a second."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from forecast.datasets import load_pedestrian

QUICK = ["training.max_epochs=2", "training.batches_per_epoch=10", "training.batch_size=64", "network.hidden_size=16"]


@pytest.fixture(scope="session")
def table_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ninety days of two places, in local wall-clock time, as Parquet."""
    frame = load_pedestrian()
    frame = frame[frame["item_id"].isin(["Southern Cross Station", "QV Market-Elizabeth St (West)"])]
    frame = frame[frame["timestamp"] >= pd.Timestamp("2016-10-03", tz="Australia/Melbourne")]
    path = tmp_path_factory.mktemp("data") / "counts.parquet"
    frame.assign(timestamp=frame["timestamp"].dt.tz_localize(None)).to_parquet(path)
    return path


def run_forecast(folder: Path, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """The console script, in a working folder of its own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "FORECAST"))}
    return subprocess.run(
        [str(Path(sys.executable).with_name("forecast")), *words],
        cwd=folder,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=900,  # a guard against hanging, not a bar
        check=False,
    )


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, table_path: Path) -> Path:
    """A working folder (with a space in its path) in which `forecast train` was run once; its output is beside."""
    folder = tmp_path_factory.mktemp("working folder")
    words = ["train", "--data", str(table_path), "--network", "gru", "--prediction-length", "24", "--name", "counts"]
    done = run_forecast(folder, *words, *(word for setting in QUICK for word in ("--set", setting)))
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "train.out").write_text(done.stdout)
    (folder / "train.err").write_text(done.stderr)
    return folder
