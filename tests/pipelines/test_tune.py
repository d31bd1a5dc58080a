"""`forecast tune`: what a search leaves behind, how it goes on, and that it never sees what train judges by."""

import os
import shlex
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pandas as pd
import pytest
import yaml
from optuna.trial import TrialState
from rich.console import Console

from forecast import read_series
from forecast.errors import ParameterError
from pipelines.recipes import load_recipe
from pipelines.tune.pipeline import Plan, tune
from pipelines.tune.search import Effort
from pipelines.tune.space import load_space
from tests.conftest import clean_environment, run_forecast

warnings.filterwarnings("ignore")
import mlflow  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own

SPACE = """
network.hidden_size: {choices: [4, 8]}
training.learning_rate: {low: 1e-3, high: 1e-2, log: true}
context_length: {choices: [48, 72]}
"""
TINY = ["training.max_epochs=2", "training.batches_per_epoch=3", "training.batch_size=16", "network.hidden_size=8"]
WINDOWS, HORIZON = 2, 24


def words(table_path: Path, *more: str, name: str = "counts", settings: tuple[str, ...] = ()) -> list[str]:
    """A search of a second or two for each trial, from a space beside it."""
    pinned = [*TINY, f"evaluation.windows={WINDOWS}", "context_length=48", *settings]
    asked = ["--data", str(table_path), "--network", "gru", "--prediction-length", str(HORIZON), "--name", name]
    return ["tune", *asked, "--space", "space.yaml", *more, *(word for one in pinned for word in ("--set", one))]


def studied(folder: Path, name: str = "counts") -> optuna.Study:
    return optuna.load_study(study_name=name, storage=f"sqlite:///{folder}/.forecast/studies.db")


def client_of(folder: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(f"sqlite:///{folder}/.forecast/mlflow.db")


def runs_of(folder: Path, task: str, name: str = "counts") -> list[mlflow.entities.Run]:
    client = client_of(folder)
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    return client.search_runs([experiment.experiment_id], f"tags.task = '{task}'", order_by=["attributes.start_time"])


@contextmanager
def searching(folder: Path, *command: str) -> Iterator["subprocess.Popen[str]"]:
    """A search that goes on in a process group of its own, as one that a terminal's Ctrl-C reaches."""
    with subprocess.Popen(
        [str(Path(sys.executable).with_name("forecast")), *command],
        cwd=folder,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        yield process


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory, table_path: Path) -> Path:
    """A working folder in which a search of three trials, two at a time, was run; its output is beside."""
    folder = tmp_path_factory.mktemp("tuned here")
    (folder / "space.yaml").write_text(SPACE)
    done = run_forecast(folder, *words(table_path, "--trials", "3", "--jobs", "2"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    (folder / "tune.out").write_text(done.stdout)
    return folder


def test_the_first_trial_is_the_settings_without_a_search_and_the_best_is_no_worse(tuned: Path) -> None:
    first, *others = studied(tuned).trials
    assert first.params == {"network.hidden_size": 8, "training.learning_rate": 0.004, "context_length": 48}
    assert len(others) == 2
    assert studied(tuned).best_value <= first.value


def test_every_trial_is_a_run_below_the_searchs_with_what_varies_and_its_curve(tuned: Path) -> None:
    (search,), trials = runs_of(tuned, "tune"), runs_of(tuned, "trial")
    assert [run.info.run_name for run in trials] == ["trial 000", "trial 001", "trial 002"]
    for run, trial in zip(trials, studied(tuned).trials, strict=True):
        assert run.info.status == "FINISHED"
        assert run.data.tags["mlflow.parentRunId"] == search.info.run_id
        assert run.data.tags["state"] == "complete"
        assert set(run.data.params) == {"network.hidden_size", "training.learning_rate", "context_length"}
        assert run.data.metrics["search/mase"] == trial.value
        for name in ("train/loss", "validation/loss", "search/mase by epoch"):
            assert [point.step for point in client_of(tuned).get_metric_history(run.info.run_id, name)] == [0, 1]


def test_the_searchs_run_says_what_was_found(tuned: Path, tmp_path: Path) -> None:
    (search,) = runs_of(tuned, "tune")
    study = studied(tuned)
    assert search.info.status == "FINISHED"
    assert search.data.metrics["search/best mase"] == study.best_value
    assert search.data.tags["best.network.hidden_size"] == str(study.best_params["network.hidden_size"])
    note = search.data.tags["mlflow.note.content"]
    assert "Trials: 3 complete." in note
    assert "| training.learning_rate | 0.004 |" in note
    client = client_of(tuned)
    client.download_artifacts(search.info.run_id, "", str(tmp_path))
    assert (tmp_path / "best.yaml").read_text() == (tuned / "counts.yaml").read_text()
    assert yaml.safe_load((tmp_path / "space.yaml").read_text())["context_length"] == {"choices": [48, 72]}


def test_the_pictures_need_nothing_from_elsewhere(tuned: Path, tmp_path: Path) -> None:
    (search,) = runs_of(tuned, "tune")
    page = Path(client_of(tuned).download_artifacts(search.info.run_id, "search.html", str(tmp_path))).read_text()
    assert page.count("Plotly.newPlot(") == 4
    assert '<script src="' not in page
    assert "<link" not in page


def test_the_recipe_holds_what_was_found_and_the_windows_that_no_trial_saw(tuned: Path, table_path: Path) -> None:
    study = studied(tuned)
    assert (tuned / "counts.yaml").read_text().startswith("# Tuned for counts on ")
    recipe = load_recipe(str(tuned / "counts.yaml"))
    assert recipe["evaluation"] == {"windows": WINDOWS}
    forecaster = recipe["forecaster"]
    assert forecaster["network"] == {"kind": "gru", "hidden_size": study.best_params["network.hidden_size"]}
    assert forecaster["training"]["learning_rate"] == study.best_params["training.learning_rate"]
    assert forecaster["context_length"] == study.best_params["context_length"]
    assert forecaster["training"]["max_epochs"] == 2
    command = shlex.join(
        ["forecast", "train", "--recipe", "counts.yaml", "--data", str(table_path), "--name", "counts"]
    )
    assert f"train it with: {command}\n" in (tuned / "tune.out").read_text()


@pytest.mark.slow
def test_train_takes_the_recipe_and_judges_by_windows_after_those_of_the_search(tuned: Path, table_path: Path) -> None:
    asked = ["--data", str(table_path), "--recipe", "counts.yaml", "--name", "trained"]
    done = run_forecast(tuned, "train", *asked, "--set", "evaluation.refit=false")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"on the last {WINDOWS} windows of {HORIZON} steps" in done.stdout


def test_no_trial_sees_what_train_judges_by(tuned: Path, table_path: Path, tmp_path: Path) -> None:
    frame = pd.read_parquet(table_path)
    last = frame.groupby("item_id").cumcount(ascending=False) < WINDOWS * HORIZON
    frame.loc[last, "target"] = -1e6
    frame.to_parquet(tmp_path / "altered.parquet")
    done = run_forecast(tuned, *words(tmp_path / "altered.parquet", "--trials", "2", name="altered"))
    assert done.returncode == 0, done.stdout + done.stderr
    for altered, trial in zip(studied(tuned, "altered").trials, studied(tuned).trials, strict=False):
        assert (altered.params, altered.value) == (trial.params, trial.value)
        assert altered.intermediate_values == trial.intermediate_values


@pytest.mark.parametrize(
    ("output", "metric", "expected"),
    [
        ("mine.yaml", "mase", "was not written by a search; name another --output"),
        ("mine.txt", "mase", "does not end in .yaml"),
        ("nowhere/mine.yaml", "mase", "there is no folder for"),
        ("best.yaml", "mape", "there is no metric 'mape' to search by; take one of mase, rmsse, smape, wql"),
    ],
)
def test_a_search_whose_result_could_not_be_written_does_not_begin(
    tmp_path: Path, table_path: Path, output: str, metric: str, expected: str
) -> None:
    (tmp_path / "mine.yaml").write_text("# Mine.\n")
    settings = {"name": "x", "data": {"path": "x"}, "forecaster": {"prediction_length": 24}}
    plan = Plan(settings, load_space("recurrent"), metric, tmp_path / output)
    with pytest.raises(ParameterError, match=expected):
        tune(plan, Effort(1), read_series(table_path), Console())
    assert (tmp_path / "mine.yaml").read_text() == "# Mine.\n"


def test_the_same_command_goes_on_gives_up_what_is_worse(tuned: Path, table_path: Path, tmp_path: Path) -> None:
    before = studied(tuned)
    good = dict.fromkeys(range(1, 11), 1e-6)  # of a study in which all else was better
    for _ in range(7):
        before.add_trial(
            optuna.trial.create_trial(
                params=before.best_params,
                distributions=before.best_trial.distributions,
                value=before.best_value,
                intermediate_values=good,
            )
        )
    values = [trial.value for trial in before.trials]
    done = run_forecast(tuned, *words(table_path, "--trials", "11"))
    assert done.returncode == 0, done.stdout + done.stderr
    study = studied(tuned)
    assert [trial.value for trial in study.trials[:10]] == values
    assert study.trials[10].state == TrialState.PRUNED
    (search,), run = runs_of(tuned, "tune"), runs_of(tuned, "trial")[-1]
    assert search.info.status == "FINISHED"
    assert (run.data.tags["state"], run.info.status) == ("pruned", "FINISHED")
    assert "is worse than half of the others'" in run.data.tags["reason"]
    path = client_of(tuned).download_artifacts(search.info.run_id, "search.html", str(tmp_path))
    assert "Which settings matter" in Path(path).read_text()


def test_settings_that_do_not_fit_together_are_a_failed_trial_with_its_reason(tuned: Path, table_path: Path) -> None:
    (tuned / "patch-lengths.yaml").write_text("network.patch_length: {choices: [24, 36]}")
    asked = ["--trials", "4", "--space", "patch-lengths.yaml"]
    done = run_forecast(tuned, *words(table_path, *asked, name="patches", settings=("network.patch_length=24",)))
    assert done.returncode == 0, done.stdout + done.stderr
    reason = "context_length=48 is not a multiple of network.patch_length=36"
    runs = runs_of(tuned, "trial", "patches")
    assert {run.data.params["network.patch_length"] for run in runs} == {"24", "36"}
    for run in runs:
        fits = run.data.params["network.patch_length"] == "24"
        assert run.info.status == ("FINISHED" if fits else "FAILED")
        assert fits or reason in run.data.tags["reason"]
    assert f"failed: {reason}" in done.stdout
    assert f"failed: {reason}" in runs_of(tuned, "tune", "patches")[0].data.tags["mlflow.note.content"]


def test_settings_to_start_from_that_cannot_be_used_end_the_search(tuned: Path, table_path: Path) -> None:
    done = run_forecast(tuned, *words(table_path, name="unfit", settings=("training.validation_windows=1000",)))
    assert done.returncode == 2
    assert "no series is long enough to learn from" in done.stderr
    assert [run.info.status for run in runs_of(tuned, "tune", "unfit")] == ["FAILED"]
    assert not (tuned / "unfit.yaml").exists()


@pytest.mark.slow
def test_a_search_that_is_interrupted_and_then_killed_goes_on(tmp_path: Path, table_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    command = words(table_path, "--trials", "4", "--jobs", "2", settings=("training.max_epochs=60",))
    with searching(tmp_path, *command) as process:
        assert process.stdout is not None
        assert any(line.startswith("trial ") for line in process.stdout)
        os.killpg(process.pid, signal.SIGINT)
        output, complaints = process.communicate(timeout=60)
    assert process.returncode == 130, complaints
    assert "is the best" in output
    assert "Traceback" not in complaints
    recipe = (tmp_path / "counts.yaml").read_text()
    assert [run.info.status for run in runs_of(tmp_path, "tune")] == ["KILLED"]
    assert not [run for run in runs_of(tmp_path, "trial") if run.info.status == "RUNNING"]
    complete = [trial.params for trial in studied(tmp_path).trials if trial.state == TrialState.COMPLETE]

    with searching(tmp_path, *command) as process:
        while not [run for run in runs_of(tmp_path, "trial") if run.info.status == "RUNNING"]:
            time.sleep(0.2)
        time.sleep(3)  # in the midst of a trial
        process.kill()
    assert (tmp_path / "counts.yaml").read_text() == recipe

    done = run_forecast(tmp_path, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    study = studied(tmp_path)
    states = [trial.state for trial in study.trials]
    assert states.count(TrialState.COMPLETE) + states.count(TrialState.PRUNED) == 4
    assert not {TrialState.RUNNING, TrialState.WAITING} & set(states)
    assert [trial.params for trial in study.trials if trial.params in complete] == complete
    assert [run.info.status for run in runs_of(tmp_path, "tune")] == ["FINISHED"]
    ended = {run.data.tags["state"]: run.info.status for run in runs_of(tmp_path, "trial")}
    assert ended["complete"] == "FINISHED"
    assert ended["stopped"] == "KILLED"


@pytest.mark.slow
def test_a_trial_whose_process_dies_is_a_failed_one_and_the_search_goes_on(tmp_path: Path, table_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    with searching(tmp_path, *words(table_path, "--trials", "2", settings=("training.max_epochs=30",))) as process:
        assert process.stdout is not None
        assert any(line.startswith("trial 0:") for line in process.stdout)
        # Children of the search, but for the one that counts shared resources: the worker is the youngest.
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[-1]), signal.SIGKILL)
        output, complaints = process.communicate(timeout=60)
    assert process.returncode == 0, complaints
    assert "trial 1: failed: its process was ended from outside" in output
    assert [run.info.status for run in runs_of(tmp_path, "trial")] == ["FINISHED", "FAILED"]
