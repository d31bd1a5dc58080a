"""Promotion: who goes live, what is written down, and what is found after a command was cut short."""

import json
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

warnings.filterwarnings("ignore")
import mlflow  # noqa: E402

from forecast import Forecaster, read_series  # noqa: E402
from forecast.errors import ModelNotFound, ParameterError  # noqa: E402
from forecast.reference import CHAMPION  # noqa: E402
from forecast.table import SeriesTable  # noqa: E402
from pipelines.contender import champion_version, find_contender, fresh_steps, known_until, log_knowledge  # noqa: E402
from pipelines.gate import fair_windows, judge  # noqa: E402
from pipelines.history import former_champions, read  # noqa: E402
from pipelines.promote import force, promote_version, rollback  # noqa: E402
from pipelines.registry import log_model  # noqa: E402
from pipelines.tracking import connect, experiment_id  # noqa: E402
from tests.conftest import clean_environment, run_forecast  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own

TINY = Path(__file__).parents[1] / "fixtures" / "tiny-lstm"  # hourly, 24 steps ahead
SERIES, HORIZON = 20, 24

Version = Callable[..., str]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder whose embedded store holds one logged model."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/.forecast/mlflow.db")
        client = connect()
        run = client.create_run(experiment_id(client, "logged"))
        (folder / "uri").write_text(log_model(Forecaster.load(TINY), run.info.run_id))
        yield folder


@pytest.fixture
def client(store: Path) -> mlflow.MlflowClient:
    return connect()


@pytest.fixture
def version(store: Path, client: mlflow.MlflowClient, tmp_path: Path) -> Version:
    """Registers a version whose run recorded given errors: 1 for the naive baseline, in 20 series."""

    def register(name: str, mase: float, spread: float = 0.05, first: int = 0, known: SeriesTable | None = None) -> str:
        run_id = client.create_run(experiment_id(client, name)).info.run_id
        random = np.random.default_rng(first)
        days = pd.to_datetime("2024-01-01") + pd.to_timedelta(np.arange(first, first + 2), "D")
        window = pd.MultiIndex.from_product([[f"s{k}" for k in range(SERIES)], days], names=["item_id", "cutoff"])
        base = pd.DataFrame({"horizon": HORIZON, "size": 1.0, "observed": HORIZON}, index=window).reset_index()
        errors = mase * (1 + spread * random.normal(size=len(base)))
        rows = [base.assign(model="this model", mase=errors), base.assign(model="naive", mase=1.0)]
        (tmp_path / "windows.parquet").unlink(missing_ok=True)
        pd.concat(rows, ignore_index=True).to_parquet(tmp_path / "windows.parquet")
        client.log_artifact(run_id, str(tmp_path / "windows.parquet"), "backtest")
        if known is not None:
            log_knowledge(client, run_id, Forecaster.load(TINY), known.drop_last(2 * HORIZON), known, None)
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        source = (store / "uri").read_text()
        return str(client.create_model_version(name, source, run_id=run_id).version)

    return register


@pytest.fixture(scope="module")
def table() -> SeriesTable:
    """Thirty days of a daily wave in twelve series."""
    hours = np.arange(24 * 30)
    random = np.random.default_rng(0)
    frames = [
        pd.DataFrame(
            {
                "item_id": f"s{k}",
                "timestamp": pd.Timestamp("2024-01-01") + pd.to_timedelta(hours, "h"),
                "target": 50 + 20 * np.sin(2 * np.pi * hours / 24) + random.normal(size=len(hours)),
            }
        )
        for k in range(12)
    ]
    return read_series(pd.concat(frames))


def test_the_first_version_must_beat_naive(version: Version, client: mlflow.MlflowClient):
    worse = promote_version("first", version("first", 1.2))
    assert not worse.promoted
    assert "its MASE 1.196" in worse.reason
    assert "does not beat naive's 1.000" in worse.reason
    better = promote_version("first", version("first", 0.8))
    assert better.promoted
    assert champion_version(client, "first") == better.version == "2"
    assert client.get_model_version("first", "2").tags["gate"] == better.reason


def test_a_better_challenger_goes_live_and_the_history_says_why(version: Version, client: mlflow.MlflowClient):
    promote_version("sales", version("sales", 0.8))
    outcome = promote_version("sales", version("sales", 0.7))
    assert outcome.promoted
    assert "beats the champion's (version 1) 0.798 by 12.5%" in outcome.reason
    last = read(client, "sales")[-1]
    assert (last.action, last.version, last.champion, last.over) == ("promoted", "2", "2", "1")
    assert last.figures["improvement"] == pytest.approx(0.125, abs=0.02)
    assert 0 < last.figures["low"] < last.figures["improvement"] < last.figures["high"]
    assert last.figures["windows"] == 2 * SERIES
    runs = [client.get_model_version("sales", number).run_id for number in ("1", "2")]
    assert [client.get_run(run).data.tags.get("registered") for run in runs] == ["sales/1", "sales/2@champion"]


def test_a_challenger_that_may_as_well_be_worse_does_not(version: Version, client: mlflow.MlflowClient):
    promote_version("noisy", version("noisy", 0.8))
    unsure = promote_version("noisy", version("noisy", 0.79, spread=0.5))
    worse = promote_version("noisy", version("noisy", 0.9))
    assert not unsure.promoted
    assert "not sure enough" in unsure.reason or "does not beat the champion's" in unsure.reason
    assert not worse.promoted
    assert "does not beat the champion's (version 1)" in worse.reason
    assert [one.action for one in read(client, "noisy")] == ["promoted", "kept", "kept"]
    assert champion_version(client, "noisy") == "1"


def test_without_windows_in_common_nothing_is_decided_by_figures(version: Version):
    promote_version("apart", version("apart", 0.8))
    outcome = promote_version("apart", version("apart", 0.1, first=50))
    assert not outcome.promoted
    assert "no windows that neither it nor the champion has learnt from" in outcome.reason
    assert "--data" in outcome.reason


def test_windows_in_which_other_values_came_are_not_the_same(version: Version, client: mlflow.MlflowClient):
    promote_version("revised", version("revised", 0.8))
    number = version("revised", 0.1)
    challenger = find_contender(client, "revised", number)
    champion = find_contender(client, "revised", "1")
    from pipelines.gate import weigh

    assert weigh(challenger.windows, champion).comparison is not None
    assert weigh(challenger.windows.assign(size=2.0), champion).comparison is None


def test_new_data_judge_both_registered_models(version: Version, table: SeriesTable, client: mlflow.MlflowClient):
    known = table.drop_last(3 * HORIZON)
    for mase in (0.8, 0.7):
        version("fresh", mase, known=known)
    force("fresh", "1", "to begin with")
    contenders = [find_contender(client, "fresh", number) for number in ("1", "2")]
    assert (fresh_steps(table, contenders[0].known["registered"]) == 3 * HORIZON).all()
    assert fair_windows(contenders[0], contenders[1], table) == (HORIZON, 3)
    assert contenders[0].stand_in(table, 3 * HORIZON)[0] is contenders[0].registered
    assert contenders[0].stand_in(table, 4 * HORIZON)[0] is contenders[0].judged
    outcome = promote_version("fresh", "2", table)  # they are one model: nothing is gained
    assert not outcome.promoted
    last = read(client, "fresh")[-1]
    assert last.figures["windows"] == 3 * 12
    assert last.figures["champion_mase"] == last.figures["mase"]


def test_less_than_a_horizon_of_new_data_makes_a_shorter_window(version: Version, table: SeriesTable, client):
    version("short", 0.8, known=table.drop_last(10))
    contender = find_contender(client, "short", "1")
    assert fair_windows(contender, None, table) == (10, 1)


def test_without_new_data_the_judged_models_stand_in(version: Version, table: SeriesTable, client):
    for _ in range(2):
        version("old", 0.8, known=table)
    champion, challenger = (find_contender(client, "old", number) for number in ("1", "2"))
    horizon, windows = fair_windows(challenger, champion, table)
    assert horizon == HORIZON
    model, known = challenger.stand_in(table, horizon * windows)
    assert model is challenger.judged
    result, evidence = judge(model, champion, table, horizon, windows, known)
    # The last two windows of each series are those that neither judged model has learnt from.
    assert evidence.comparison.windows == 2 * 12
    assert "champion" not in result.forecasts or windows == 2


def test_series_that_are_new_are_known_to_nobody(table: SeriesTable):
    known = known_until(table.select(np.arange(4)))
    assert (fresh_steps(table, known)[:4] == 0).all()
    assert (fresh_steps(table, known)[4:] == table.lengths[4:]).all()
    assert (fresh_steps(table, pd.Series([5], index=["s0"])) == 0).all()  # plain steps tell nothing of dates


def test_force_needs_a_reason_and_is_told(version: Version, client: mlflow.MlflowClient, store: Path):
    version("forced", 5.0)
    with pytest.raises(ParameterError, match="needs a reason"):
        force("forced", "1", " ")
    assert champion_version(client, "forced") is None
    force("forced", "1", "the figures are from before the move")
    last = read(client, "forced")[-1]
    assert (last.action, last.champion, last.reason) == ("forced", "1", "the figures are from before the move")
    with pytest.raises(ModelNotFound, match="forced/9"):
        force("forced", "9", "no such version")
    done = run_forecast(store, "promote", "forced", "--history")
    assert done.returncode == 0, done.stderr
    assert "version 1 forced, champion: none → version 1, by" in done.stdout
    assert "the figures are from before the move" in done.stdout


def test_rollback_goes_back_step_by_step(version: Version, client: mlflow.MlflowClient):
    for mase in (0.8, 0.7, 0.6):
        promote_version("back", version("back", mase))
    assert champion_version(client, "back") == "3"
    assert rollback("back", "it forgot Mondays").version == "2"
    assert rollback("back").version == "1"
    with pytest.raises(ModelNotFound, match="was champion before 1"):
        rollback("back")
    assert [(one.action, one.champion) for one in read(client, "back")][3:] == [
        ("rolled back", "2"),
        ("rolled back", "1"),
    ]
    assert promote_version("back", "3").promoted
    assert former_champions(read(client, "back")) == ["1"]


def test_a_deleted_version_is_passed_over(version: Version, client: mlflow.MlflowClient):
    for mase in (0.8, 0.7, 0.6):
        promote_version("gone", version("gone", mase))
    client.delete_model_version("gone", "2")
    assert rollback("gone").version == "1"


KILLED = """
import os, sys
from mlflow import MlflowClient
def die(*_): os._exit(9)
MlflowClient.set_registered_model_alias = die
from pipelines.promote import promote_version
promote_version(sys.argv[1], "2")
"""


def test_a_command_killed_before_the_alias_moved_is_found_out(
    version: Version, client: mlflow.MlflowClient, store: Path
):
    promote_version("killed", version("killed", 0.8))
    version("killed", 0.7)
    environment = clean_environment(MLFLOW_TRACKING_URI=f"sqlite:///{store}/.forecast/mlflow.db")
    done = subprocess.run([sys.executable, "-c", KILLED, "killed"], env=environment, capture_output=True, check=False)
    assert done.returncode == 9, done.stderr
    assert champion_version(client, "killed") == "1"
    assert read(client, "killed")[-1].champion == "2"
    shown = run_forecast(store, "promote", "killed", "--history")
    assert "version 1 is the champion, by the history version 2 is" in shown.stdout
    outcome = promote_version("killed", "2")
    assert outcome.promoted
    assert [one.action for one in read(client, "killed")] == ["promoted", "promoted", "found", "promoted"]
    assert former_champions(read(client, "killed")) == ["1"]
    assert rollback("killed").version == "1"


def test_an_alias_moved_by_hand_is_written_down(version: Version, client: mlflow.MlflowClient):
    for mase in (0.8, 0.7, 0.6):
        version("hand", mase)
    promote_version("hand", "1")
    client.set_registered_model_alias("hand", CHAMPION, "2")
    promote_version("hand", "3")
    assert [(one.action, one.over, one.champion) for one in read(client, "hand")] == [
        ("promoted", None, "1"),
        ("found", "1", "2"),
        ("promoted", "2", "3"),
    ]


def test_two_at_once_lose_no_entry(version: Version, client: mlflow.MlflowClient):
    for mase in (0.8, 0.7, 0.6):
        version("both", mase)
    promote_version("both", "1")
    threads = [threading.Thread(target=promote_version, args=("both", number)) for number in ("2", "3")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    decided = [one.version for one in read(client, "both") if one.action in ("promoted", "kept")]
    assert sorted(decided) >= ["1", "2", "3"]
    assert champion_version(client, "both") in ("2", "3")


def test_entries_are_never_changed(version: Version, client: mlflow.MlflowClient):
    promote_version("kept", version("kept", 0.8))
    first = dict(client.get_registered_model("kept").tags)
    promote_version("kept", version("kept", 0.7))
    rollback("kept")
    assert first.items() <= client.get_registered_model("kept").tags.items()
    assert all(json.loads(text)["at"] for key, text in first.items() if key.startswith("history."))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["promote", "nobody", "--version", "1"], ["nobody/1"]),
        (["promote", "nobody", "--history"], ["nobody"]),
        (["rollback", "nobody"], ["nobody"]),
        (["retrain", "nobody"], ["no champion of 'nobody'", "forecast train"]),
        (["promote", "nobody"], ["--version", "a number"]),
        (["promote", "nobody", "--version", "two"], ["'two'", "a number"]),
        (["promote", "nobody", "--version", "1", "--reason", "why not"], ["--force"]),
        (["promote", "nobody", "--version", "1", "--query", "counts"], ["--query", "--data"]),
        (["promote", "nobody", "--version", "1", "--item-id", "shop"], ["--item-id", "--data"]),
    ],
)
def test_a_mistake_is_one_message(words: list[str], expected: list[str], store: Path):
    done = run_forecast(store, *words)
    assert done.returncode == 2
    assert done.stderr.startswith("error:")
    assert "Traceback" not in done.stderr
    for part in expected:
        assert part in done.stderr
