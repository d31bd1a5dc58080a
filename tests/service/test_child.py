"""A process that is asked over a pipe: it may end, hang, break or be told to end at any moment."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from forecast.errors import DataError
from service.child import Child, ChildBroke
from tests.service.conftest import is_running, wait_for_the_end

MODULE = "tests.service.questions"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


@pytest.fixture
def child() -> Iterator[Child]:
    child = Child(MODULE, ENVIRONMENT)
    yield child
    child.close()


def test_one_process_answers_all_questions(child: Child) -> None:
    assert child.pid is None  # nothing is started before it is needed
    first = child.ask(("pid", None), 60)
    assert first == child.pid == child.ask(("pid", None), 60)
    large = np.arange(1_000_000)
    np.testing.assert_array_equal(child.ask(("echo", large), 60), large)


def test_one_that_ended_is_replaced_and_the_question_answered(child: Child) -> None:
    first = child.ask(("pid", None), 60)
    os.kill(first, signal.SIGKILL)  # its end may be seen before the question, at it, or at the answer
    assert child.ask(("pid", None), 60) not in (first, None)


def test_one_that_is_killed_in_mid_answer_is_replaced(child: Child) -> None:
    first = child.ask(("pid", None), 60)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(child.ask, ("sleep", 1.0), 60)
        time.sleep(0.3)
        os.kill(first, signal.SIGKILL)
        assert asked.result() not in (first, None)


def test_a_question_that_ends_it_is_not_asked_for_ever(child: Child) -> None:
    with pytest.raises(ChildBroke, match="ended while it was asked"):
        child.ask(("die", 3), 60)
    assert child.ask(("echo", "there again"), 60) == "there again"


def test_one_that_takes_too_long_is_killed(child: Child) -> None:
    first = child.ask(("pid", None), 60)
    with pytest.raises(TimeoutError, match=r"no answer within 0\.2 s"):
        child.ask(("sleep", 60), 0.2)
    assert not is_running(first)
    assert child.ask(("pid", None), 60) != first


def test_an_error_for_the_caller_comes_back_whole_and_any_other_is_told_apart(
    child: Child, capfd: pytest.CaptureFixture[str]
) -> None:
    first = child.ask(("pid", None), 60)
    with pytest.raises(DataError, match="it is wrong; mend it") as caught:
        child.ask(("refuse", "it is wrong"), 60)
    assert caught.value.code == "bad-target"
    assert [problem.item_id for problem in caught.value.problems] == ["a", None]
    with pytest.raises(ChildBroke, match="KeyError: 'oops'"):
        child.ask(("break", "oops"), 60)
    assert child.ask(("pid", None), 60) == first  # neither ended it
    assert "could not answer" in capfd.readouterr().err


def test_closing_ends_it_at_once_and_for_good(child: Child) -> None:
    first = child.ask(("pid", None), 60)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(child.ask, ("sleep", 60), 60)
        time.sleep(0.3)
        began = time.monotonic()
        child.close()
        with pytest.raises(ChildBroke):
            asked.result()
    assert time.monotonic() - began < 10
    assert child.pid is None
    assert not is_running(first)


def test_nothing_is_imported_from_the_folder_it_was_started_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, child: Child
) -> None:
    (tmp_path / "logging.py").write_text("raise SystemExit('not ours')")
    monkeypatch.chdir(tmp_path)
    assert child.ask(("echo", "safe"), 60) == "safe"


def test_it_ends_when_nobody_asks() -> None:
    idle = Child(MODULE, {**ENVIRONMENT, "IDLE": "0.1"})
    wait_for_the_end(idle.ask(("pid", None), 60))
    assert isinstance(idle.ask(("pid", None), 60), int)
    idle.close()


def test_it_ends_with_who_asks() -> None:
    code = f"from service.child import Child; print(Child({MODULE!r}).ask(('pid', None), 60))"
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    wait_for_the_end(int(done.stdout))
