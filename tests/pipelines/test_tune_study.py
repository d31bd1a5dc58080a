"""The study behind a search: whose it is, what it may be gone on with, and what a killed process left in it."""

from pathlib import Path

import optuna
import pytest

from forecast.errors import ParameterError, RegistryUnavailable
from pipelines.tune.study import Identity, best_trial, counts, open_study, trial_state

ONE: Identity = {"data": {"digest": "a"}, "settings": {"training.seed": 0}, "space": {}, "metric": {"name": "mase"}}
RATE = {"training.learning_rate": optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True)}


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_study_goes_on_until_it_is_begun_anew() -> None:
    with open_study("x", ONE, 0, anew=False) as study:
        study.tell(study.ask(RATE), 0.5)
    with open_study("x", ONE, 0, anew=False) as study:
        assert [trial.value for trial in study.trials] == [0.5]
    with open_study("x", ONE, 0, anew=True) as study:
        assert not study.trials


def test_a_study_that_goes_on_does_not_draw_the_same_again() -> None:
    drawn = []
    for _ in range(3):
        with open_study("x", ONE, 0, anew=False) as study:
            trial = study.ask(RATE)
            drawn.append(trial.params["training.learning_rate"])
            study.tell(trial, 0.5)
    assert len(set(drawn)) == 3


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"settings": {"training.seed": 1}}, r"settings \(training.seed: 0, now 1\)"),
        ({"settings": {}}, r"settings \(training.seed: 0, now not there\)"),
        ({"data": {"digest": "b"}}, r"data \(digest: a, now b\)"),
        (
            {"metric": {"name": "wql"}, "space": {"k": "v"}},
            r"space \(k: not there, now v\), metric \(name: mase, now wql",
        ),
    ],
)
def test_a_study_is_of_one_thing(changed: Identity, expected: str) -> None:
    with open_study("x", ONE, 0, anew=False):
        pass
    with (
        pytest.raises(ParameterError, match=f"{expected}.*take another --name, or forget the old study with --anew"),
        open_study("x", {**ONE, **changed}, 0, anew=False),
    ):
        pass


def test_one_process_at_a_time_works_on_a_study() -> None:
    with (
        open_study("x", ONE, 0, anew=False),
        open_study("y", ONE, 0, anew=False),
        pytest.raises(ParameterError, match="'x' is being tuned by another process"),
        open_study("x", ONE, 0, anew=True),
    ):
        pass


def test_a_trial_that_a_killed_process_left_is_stopped_and_does_not_count() -> None:
    with open_study("x", ONE, 0, anew=False) as study:
        study.tell(study.ask(RATE), 0.5)
        study.ask(RATE)
    with open_study("x", ONE, 0, anew=False) as study:
        assert [trial_state(trial) for trial in study.trials] == ["complete", "stopped"]
        assert counts(study) == {"complete": 1, "pruned": 0, "failed": 0, "stopped": 1}
        best = best_trial(study)
        assert best is not None
        assert best.number == 0


def test_a_damaged_database_is_told_as_one(working_folder: Path) -> None:
    (working_folder / ".forecast").mkdir()
    (working_folder / ".forecast" / "studies.db").write_bytes(b"no database" * 100)
    with (
        pytest.raises(RegistryUnavailable, match=r"cannot be read or written: .*not a database"),
        open_study("x", ONE, 0, anew=False),
    ):
        pass
