"""`forecast retrain`: new data came, and one command trains, judges and decides."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

warnings.filterwarnings("ignore")
import mlflow  # noqa: E402

from forecast.reference import CHAMPION  # noqa: E402
from pipelines.contender import find_contender, fresh_steps, known_until  # noqa: E402
from pipelines.history import read  # noqa: E402
from tests.conftest import QUICK, run_forecast  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own

DAYS, HORIZON = 60, 24


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the counts up to one evening, and up to three days later."""
    folder = tmp_path_factory.mktemp("nights")
    hours = np.arange(24 * (DAYS + 3))
    random = np.random.default_rng(0)
    frames = []
    for place in range(12):
        wave = 50 + 20 * np.sin(2 * np.pi * hours / 24) + 10 * np.sin(2 * np.pi * hours / 168)
        times = pd.Timestamp("2024-01-01") + pd.to_timedelta(hours, "h")
        target = wave + random.normal(size=len(hours))
        frames.append(pd.DataFrame({"item_id": f"place {place}", "timestamp": times, "target": target}))
    table = pd.concat(frames)
    table[table["timestamp"] < pd.Timestamp("2024-01-01") + pd.Timedelta(days=DAYS)].to_parquet(folder / "old.parquet")
    table.to_parquet(folder / "new.parquet")
    return folder


@pytest.fixture(scope="module")
def nightly(nights: Path) -> Path:
    """That folder after a training on the first table, its version made champion."""
    words = ["train", "--data", "old.parquet", "--network", "gru", "--prediction-length", str(HORIZON)]
    quick = [word for setting in [*QUICK, "context_length=48"] for word in ("--set", setting)]
    done = run_forecast(nights, *words, "--name", "places", *quick)
    assert done.returncode == 0, done.stdout + done.stderr
    forced = run_forecast(nights, "promote", "places", "--version", "1", "--force", "--reason", "the first")
    assert forced.returncode == 0, forced.stderr
    return nights


@pytest.fixture(scope="module")
def client(nightly: Path) -> Iterator[mlflow.MlflowClient]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(nightly)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{nightly}/.forecast/mlflow.db")
        yield mlflow.MlflowClient(f"sqlite:///{nightly}/.forecast/mlflow.db")


@pytest.fixture(scope="module")
def output(nightly: Path, client: mlflow.MlflowClient) -> str:
    done = run_forecast(nightly, "retrain", "places", "--data", "new.parquet")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_without_new_data_there_is_nothing_to_do(nightly: Path, client: mlflow.MlflowClient):
    done = run_forecast(nightly, "retrain", "places")  # the table that the champion came from
    assert done.returncode == 0, done.stderr
    assert "nothing to do: places/1 has learnt from all of it" in done.stdout


def test_the_champion_is_judged_on_the_same_windows(output: str):
    assert "this model" in output
    assert "champion" in output
    assert "over 108 windows of 24 steps" in output


def test_the_decision_is_told_and_written_down(output: str, client: mlflow.MlflowClient):
    last = read(client, "places")[-1]
    assert last.version == "2"
    assert last.over == "1"
    if last.action == "promoted":
        assert "places/2 is the champion" in output
        assert client.get_model_version_by_alias("places", CHAMPION).version == "2"
    else:
        assert "places/2 is registered, but not live" in output
        assert "version 1 stays live" in output
    assert last.reason in output


def test_the_run_says_where_it_started_and_trained_for_less(output: str, client: mlflow.MlflowClient):
    first, second = (client.get_model_version("places", number).run_id for number in ("1", "2"))
    tags = client.get_run(second).data.tags
    assert tags["retrained.from"] == "places/1"
    assert tags["retrained.how"] == "from its weights"
    assert len(client.get_metric_history(first, "train/loss")) == 2
    assert len(client.get_metric_history(second, "train/loss")) == 1


def test_each_run_keeps_what_it_judged_and_what_it_knows(output: str, client: mlflow.MlflowClient, nightly: Path):
    from forecast import read_series

    old, new = (read_series(nightly / f"{name}.parquet") for name in ("old", "new"))
    first, second = (find_contender(client, "places", number) for number in ("1", "2"))
    assert first.known["registered"].equals(known_until(old).reindex(first.known.index))
    assert (fresh_steps(new, first.known["registered"]) == 3 * 24).all()
    assert (fresh_steps(new, second.known["registered"]) == 0).all()
    # Nine windows are kept, so neither judged model knows the last nine days of its own table.
    assert (fresh_steps(old, first.known["judged"]) == 9 * HORIZON).all()
    assert (fresh_steps(new, second.known["judged"]) == 9 * HORIZON).all()
    for one in (first, second):
        theirs, ours = (model.network.state_dict() for model in (one.judged, one.registered))
        assert any(not theirs[name].equal(ours[name]) for name in ours)


def test_the_same_data_are_not_learnt_from_twice(output: str, nightly: Path):
    done = run_forecast(nightly, "retrain", "places", "--data", "new.parquet")
    assert done.returncode == 0, done.stderr
    assert "nothing to do" in done.stdout


def test_no_fault_ends_with_0(nightly: Path, client: mlflow.MlflowClient):
    done = run_forecast(nightly, "retrain", "places", "--data", "nowhere.parquet")
    assert done.returncode == 2
    assert "nowhere.parquet" in done.stderr
