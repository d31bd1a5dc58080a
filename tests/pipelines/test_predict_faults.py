"""A prediction that is cut short leaves nothing half done and goes on where it stopped; on anything else it begins."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from forecast import Forecaster
from forecast.errors import DataWarning, ParameterError
from pipelines.predict import bulk, pieces, predict
from pipelines.predict.progress import SeriesProgress
from tests.conftest import clean_environment
from tests.pipelines.test_predict import TINY, assert_same, table

FOLDER = ".out.parquet.parts"
LONG = ["--prediction-length", "192"]  # of 1,365 series a piece


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pieces of short series at the longest horizon."""
    series, steps = 4000, 30
    times = np.datetime64("2024-01-01", "us") + np.arange(steps).astype("m8[h]")
    frame = pd.DataFrame(
        {
            "item_id": pd.Categorical.from_codes(np.repeat(np.arange(series), steps), [f"s{k}" for k in range(series)]),
            "timestamp": np.tile(times, series),
            "target": np.random.default_rng(0).random(series * steps),
        }
    )
    path = tmp_path_factory.mktemp("data") / "in.parquet"
    frame.to_parquet(path, row_group_size=50_000)
    return path


def start(data: Path, folder: Path, before: Callable[[], None] | None = None) -> "subprocess.Popen[str]":
    """`forecast predict` in a process of its own."""
    words = ["predict", "--model", str(TINY), "--data", str(data), "--output", "out.parquet", *LONG]
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("forecast")), *words],
        cwd=folder,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=before,
    )


def wait_for_parts(process: "subprocess.Popen[str]", folder: Path, parts: int) -> None:
    while process.poll() is None and len(list((folder / FOLDER).glob("*.arrow"))) < parts:
        time.sleep(0.01)


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What an uninterrupted run writes."""
    folder = tmp_path_factory.mktemp("whole")
    process = start(data, folder)
    output, complaints = process.communicate()
    assert process.returncode == 0, complaints
    assert "768000 rows for 4000 series written to out.parquet" in output
    return (folder / "out.parquet").read_bytes()


def test_killed_it_goes_on_and_ends_with_the_same_file(data: Path, whole: bytes, tmp_path: Path) -> None:
    process = start(data, tmp_path)
    wait_for_parts(process, tmp_path, 1)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == [FOLDER]
    process = start(data, tmp_path)
    output, complaints = process.communicate()
    assert process.returncode == 0, complaints
    assert "of 4,000 series are there from a run that was cut short: going on" in output
    assert (tmp_path / "out.parquet").read_bytes() == whole
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]


def test_interrupted_it_says_how_to_go_on(data: Path, tmp_path: Path) -> None:
    process = start(data, tmp_path)
    wait_for_parts(process, tmp_path, 1)
    process.send_signal(signal.SIGINT)
    _, complaints = process.communicate()
    assert process.returncode == 130
    assert "stopped; the same command goes on where it stopped" in complaints
    assert "Traceback" not in complaints
    assert [path.name for path in tmp_path.iterdir()] == [FOLDER]


def test_a_disk_without_room_is_one_message(data: Path, whole: bytes, tmp_path: Path) -> None:
    room = len(whole) // 2

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    process = start(data, tmp_path, limit)
    _, complaints = process.communicate()
    assert process.returncode == 2
    assert complaints.startswith("error: the forecasts cannot be written: ")
    assert "it goes on where it stopped" in complaints
    assert "Traceback" not in complaints
    assert [path.name for path in tmp_path.iterdir()] == [FOLDER]


@pytest.mark.slow
def test_killed_at_twenty_random_moments_it_ends_with_the_same_file(data: Path, whole: bytes, tmp_path: Path) -> None:
    random, kills = np.random.default_rng(0), 0
    for _ in range(20):
        process = start(data, tmp_path)
        try:
            process.communicate(timeout=random.uniform(0, 12))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            assert {path.name for path in tmp_path.iterdir()} <= {FOLDER, "out.parquet"}
        if (tmp_path / "out.parquet").exists():
            assert (tmp_path / "out.parquet").read_bytes() == whole
            (tmp_path / "out.parquet").unlink()
    assert kills > 0
    process = start(data, tmp_path)
    process.communicate()
    assert (tmp_path / "out.parquet").read_bytes() == whole


class Stopped(Exception):
    pass


@pytest.fixture
def cut_short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Runs a prediction that is stopped after two of its pieces."""
    monkeypatch.setattr(pieces, "SERIES", 7)
    table().to_parquet(tmp_path / "in.parquet")

    def run(*arguments: object, **options: object) -> None:
        with monkeypatch.context() as patch:

            def update(self: SeriesProgress, done: int) -> None:
                if done > 7:
                    raise Stopped

            patch.setattr(SeriesProgress, "update", update)
            with pytest.raises(Stopped):
                predict(*arguments, **options)  # type: ignore[arg-type]
        assert (tmp_path / FOLDER).is_dir()

    return run


def count_pieces(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The series of each piece that is forecast from now on."""
    seen: list[int] = []
    run = bulk.Job.run
    monkeypatch.setattr(bulk.Job, "run", lambda job, piece: (seen.append(len(piece)), run(job, piece))[1])
    return seen


def test_only_what_is_missing_is_forecast(
    cut_short: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = Forecaster.load(TINY)
    cut_short(model, tmp_path / "in.parquet", tmp_path / "out.parquet")
    seen = count_pieces(monkeypatch)
    summary = predict(model, tmp_path / "in.parquet", tmp_path / "out.parquet")
    assert sum(seen) == 40 - 14
    assert summary.series == 40
    assert_same(pd.read_parquet(tmp_path / "out.parquet"), model.predict(table()))


def other_model() -> Forecaster:
    model = Forecaster.load(TINY)
    model.network.factors.mul_(1.5)
    return model


CHANGES: dict[str, Callable[[Path], dict[str, object]]] = {
    "another model": lambda _: {"model": other_model()},
    "another horizon": lambda _: {"prediction_length": 5},
    "other levels": lambda _: {"quantile_levels": [0.5]},
    "other data": lambda folder: {"data": table(seed=1).to_parquet(folder / "in.parquet")},
    "data of another time": lambda folder: {"data": os.utime(folder / "in.parquet", ns=(1, 1))},
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_changed_is_begun_afresh(
    change: str, cut_short: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source, output = tmp_path / "in.parquet", tmp_path / "out.parquet"
    cut_short(Forecaster.load(TINY), source, output)
    options = {"model": Forecaster.load(TINY), **CHANGES[change](tmp_path), "data": source}
    seen = count_pieces(monkeypatch)
    with pytest.warns(DataWarning, match="of another model, other data or other settings"):
        predict(output=output, **options)  # type: ignore[arg-type]
    assert sum(seen) == 40
    model, data = options.pop("model"), options.pop("data")
    assert isinstance(model, Forecaster)
    assert_same(pd.read_parquet(output), model.predict(data, **options))  # type: ignore[arg-type]


def test_two_at_once_do_not_write_one_file(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    with FileLock(tmp_path / FOLDER / "lock"), pytest.raises(ParameterError, match="another process is writing"):
        predict(Forecaster.load(TINY), table(2), tmp_path / "out.parquet")
    predict(Forecaster.load(TINY), table(2), tmp_path / "out.parquet")
    assert pq.read_metadata(tmp_path / "out.parquet").num_rows == 48
