"""The command line as a person meets it: what works says so, a mistake is one message and exit code 2."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from tests.conftest import run_forecast

TINY = Path(__file__).parents[1] / "fixtures" / "tiny-lstm"


@pytest.fixture
def hourly() -> pd.DataFrame:
    hours = pd.date_range("2024-01-01", periods=400, freq="h")
    wave = 100 + 20 * np.sin(2 * np.pi * np.arange(400) / 24)
    return pd.DataFrame({"item_id": "a", "timestamp": hours, "target": wave})


def predict(folder: Path, frame: pd.DataFrame | None, *words: str) -> tuple[int, str, str]:
    data = folder / "data.parquet"
    if frame is not None:
        frame.to_parquet(data)
    done = run_forecast(
        folder, "predict", "--model", str(TINY), "--data", str(data), "--output", str(folder / "out.parquet"), *words
    )
    return done.returncode, done.stdout, done.stderr


def test_predict_writes_what_the_library_forecasts(tmp_path: Path, hourly: pd.DataFrame) -> None:
    code, output, complaints = predict(tmp_path, hourly)
    assert (code, complaints) == (0, "")
    assert "24 rows for 1 series" in output
    written = pd.read_parquet(tmp_path / "out.parquet")
    levels = [f"0.{level}" for level in range(1, 10)]
    assert list(written.columns) == ["item_id", "timestamp", "mean", *levels]
    pd.testing.assert_frame_equal(written, Forecaster.load(TINY).predict(hourly), check_dtype=False, rtol=1e-5)


def test_predict_maps_column_names_and_writes_csv(tmp_path: Path, hourly: pd.DataFrame) -> None:
    path = tmp_path / "shop.csv"
    hourly.rename(columns={"item_id": "shop", "timestamp": "when", "target": "sold"}).to_csv(path, index=False)
    where = ["--model", str(TINY), "--data", str(path), "--output", "out.csv"]
    names = ["--item-id", "shop", "--timestamp", "when", "--target", "sold"]
    done = run_forecast(
        tmp_path, "predict", *where, *names, "--prediction-length", "3", "--quantile-levels", "0.25,0.5"
    )
    assert done.returncode == 0, done.stderr
    written = pd.read_csv(tmp_path / "out.csv")
    assert list(written.columns) == ["item_id", "timestamp", "mean", "0.25", "0.5"]
    assert list(written["timestamp"]) == ["2024-01-17 16:00:00", "2024-01-17 17:00:00", "2024-01-17 18:00:00"]


def test_gaps_are_told_of_and_forecast(tmp_path: Path, hourly: pd.DataFrame) -> None:
    code, _, complaints = predict(tmp_path, hourly.drop(index=range(200, 210)))
    assert code == 0
    assert "1 of 1 series have missing values, 10 of 400 steps" in complaints


Spoil = Callable[[pd.DataFrame], pd.DataFrame]
SPOILT: dict[str, tuple[Spoil, list[str]]] = {
    "a missing column": (lambda f: f.drop(columns="target"), ["no column 'target'", "'item_id', 'timestamp'"]),
    "text in the target": (lambda f: f.assign(target="many"), ["'many'", "not a number"]),
    "an infinite value": (lambda f: f.assign(target=np.inf), ["'a'", "infinite", "2024-01-01 00:00"]),
    "nothing but missing values": (lambda f: f.assign(target=np.nan), ["'a'", "all 400 are missing"]),
    "an empty table": (lambda f: f.iloc[:0], ["no rows"]),
    "a timestamp twice": (lambda f: pd.concat([f, f.iloc[[7]]]), ["'a'", "2024-01-01 07:00:00", "more than once"]),
    "irregular times": (
        lambda f: f.assign(timestamp=f["timestamp"].where(f.index != 5, f["timestamp"] + pd.Timedelta("7min"))),
        ["'a'", "2024-01-01 05:07:00", "off its grid"],
    ),
    "another frequency than the model's": (
        lambda f: f.assign(timestamp=pd.date_range("2020", periods=400, freq="D")),
        ["steps by D", "by h"],
    ),
    "too short a series": (lambda f: f.iloc[:10], ["'a'", "has 10", "at least 24"]),
}


@pytest.mark.parametrize("name", SPOILT)
def test_bad_data_is_one_message(name: str, tmp_path: Path, hourly: pd.DataFrame) -> None:
    spoil, expected = SPOILT[name]
    code, _, complaints = predict(tmp_path, spoil(hourly))
    assert code == 2
    assert complaints.startswith("error:")
    assert "Traceback" not in complaints
    for words in expected:
        assert words in complaints
    assert not (tmp_path / "out.parquet").exists()


OPTIONS: dict[str, tuple[list[str], list[str]]] = {
    "a horizon of 0": (["--prediction-length", "0"], ["prediction_length=0", "1 to 192"]),
    "a horizon of -1": (["--prediction-length", "-1"], ["prediction_length=-1", "1 to 192"]),
    "a horizon of 10^9": (["--prediction-length", "1000000000"], ["prediction_length=1000000000", "1 to 192"]),
    "a level of 0": (["--quantile-levels", "0,0.5"], ["0.0", "not between 0 and 1"]),
    "a level of 1": (["--quantile-levels", "1"], ["1.0", "not between 0 and 1"]),
    "a level of 2": (["--quantile-levels", "2"], ["2.0", "not between 0 and 1"]),
    "levels that are text": (["--quantile-levels", "low"], ["'low'"]),
    "a frequency nobody knows": (["--freq", "fortnight"], ["'fortnight'"]),
    "an output of another kind": (["--output", "out.xlsx"], ["out.xlsx", ".parquet"]),
    "an output folder that is not there": (["--output", "nowhere/out.csv"], ["nowhere"]),
    "a model that is no name": (["--model", "a@b@c"], ["'a@b@c'", "NAME@champion"]),
    "a folder without a model": (["--model", "./nothing"], ["no model in"]),
    "a model the registry does not have": (["--model", "nobody@champion"], ["no model 'nobody@champion'"]),
    "data that are not there": (["--data", "nowhere.csv"], ["no file 'nowhere.csv'"]),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_bad_option_is_one_message(name: str, tmp_path: Path, hourly: pd.DataFrame) -> None:
    words, expected = OPTIONS[name]
    code, _, complaints = predict(tmp_path, hourly, *words)
    assert code == 2
    assert complaints.startswith("error:")
    assert "Traceback" not in complaints
    for part in expected:
        assert part in complaints


@pytest.mark.parametrize("command", ["serve", "predict", "train"])
def test_a_registry_that_is_not_there(command: str, tmp_path: Path, hourly: pd.DataFrame) -> None:
    hourly.to_csv(tmp_path / "a.csv")
    words = {
        "serve": ["--model", "counts@champion", "--port", "9"],
        "predict": ["--model", "counts@champion", "--data", "a.csv", "--output", "out.csv"],
        "train": ["--data", "a.csv", "--name", "counts", "--prediction-length", "24"],
    }[command]
    done = run_forecast(tmp_path, command, *words, MLFLOW_TRACKING_URI="http://me:secret@127.0.0.1:9")
    assert done.returncode == 2
    assert "error:" in done.stderr
    assert "127.0.0.1:9" in done.stderr
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("network.hiden_size=3", ["network.hiden_size", "network.hidden_size"]),
        ("network.hidden_size=many", ["network.hidden_size", "many"]),
        ("network.kind=transformer", ["network.kind", "lstm"]),
        ("training.learning_rate", ["not key=value"]),
        ("evaluation.windows=0", ["evaluation.windows"]),
    ],
)
def test_a_wrong_setting_is_named(setting: str, expected: list[str], tmp_path: Path, hourly: pd.DataFrame) -> None:
    hourly.to_csv(tmp_path / "a.csv")
    words = ["train", "--data", "a.csv", "--name", "a", "--prediction-length", "24", "--set", setting]
    done = run_forecast(tmp_path, *words)
    assert done.returncode == 2
    assert done.stderr.startswith("error:")
    for part in expected:
        assert part in done.stderr
    assert not (tmp_path / ".forecast").exists()


def test_a_series_too_short_to_train_on(tmp_path: Path, hourly: pd.DataFrame) -> None:
    hourly.iloc[:60].to_csv(tmp_path / "a.csv")
    done = run_forecast(tmp_path, "train", "--data", "a.csv", "--name", "a", "--prediction-length", "48")
    assert done.returncode == 2
    assert "60 steps" in done.stderr or "needed" in done.stderr
    assert "Traceback" not in done.stderr


def test_settings_lists_every_setting(tmp_path: Path) -> None:
    done = run_forecast(tmp_path, "settings")
    assert done.returncode == 0
    for name in ("network.hidden_size", "training.learning_rate", "context_length", "evaluation.windows"):
        assert name in done.stdout


def test_help_needs_neither_torch_nor_mlflow(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; sys.argv = ['forecast', '--help']\n"
        "from pipelines.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([name for name in ('torch', 'mlflow', 'pytorch_lightning') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.strip().endswith("[]")
