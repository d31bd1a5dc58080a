"""The engine: requests share passes, and nothing that one caller does or leaves undone harms another."""

import asyncio
import threading
import time
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect

from forecast import Forecaster, SeriesTable, read_series
from forecast.errors import DataError, ParameterError
from forecast.together import Question
from service.engine import Engine, EngineLimits
from service.engine.drain import PassTimes
from service.problems import ProblemError
from tests.service.conftest import TINY

LEVELS = [0.1, 0.5, 0.9]


def table(series: int = 1, level: float = 100.0) -> SeriesTable:
    hours = pd.date_range("2024-01-01", periods=72, freq="h")
    wave = level + 20 * np.sin(np.arange(72) / 4)
    return read_series(
        pd.concat([pd.DataFrame({"item_id": str(i), "timestamp": hours, "target": wave + i}) for i in range(series)])
    )


class Held(Forecaster):
    """The tiny model, which computes nothing until it is let go, and writes down what it was asked."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.free, self.passes = threading.Event(), list[list[int]]()
        self.free.set()

    def forecast_together(self, questions: Sequence[Question]) -> list[npt.NDArray[np.float32]]:
        self.passes.append([len(question.table) for question in questions])
        assert self.free.wait(10)
        if any((question.table.values == 666).any() for question in questions):
            raise RuntimeError("this series breaks the network")
        return super().forecast_together(questions)


@pytest.fixture
def held() -> Iterator[Held]:
    model = Held.load(TINY)
    model.passes.clear()
    yield model
    model.free.set()


def counts(engine: Engine, name: str) -> float:
    lines = engine.metrics.exposition().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"forecast_{name}"))


async def while_held(engine: Engine, held: Held, *calls: Coroutine[Any, Any, Any]) -> list[Any]:
    """What calls return or raise that all come while a first pass is under way."""
    held.free.clear()
    first = asyncio.create_task(engine.forecast(held, table(), 24, LEVELS))
    while not held.passes:
        await asyncio.sleep(0.001)
    tasks = [asyncio.create_task(call) for call in calls]
    await asyncio.sleep(0.05)
    held.free.set()
    await first
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_many_share_a_pass_and_each_gets_its_own(held: Held) -> None:
    engine = Engine()
    asked = [Question(table(1 + i % 3, 100.0 * i), 1 + 7 * i % 40, LEVELS[: i % 4]) for i in range(40)]
    answers = asyncio.run(while_held(engine, held, *(engine.forecast(held, *question) for question in asked)))
    assert len(held.passes) == 2
    assert len(held.passes[1]) == 40
    assert (counts(engine, "passes_total"), counts(engine, "pass_requests_sum")) == (2, 41)
    assert counts(engine, "series_total") == 1 + sum(held.passes[1])
    assert counts(engine, "queue_series") == 0
    for question, answer in zip(asked, answers, strict=True):
        alone = held.forecast(*question)
        np.testing.assert_allclose(answer, alone, rtol=1e-5, atol=1e-6 * np.abs(alone).max())


def test_a_lone_request_waits_for_nobody(held: Held) -> None:
    engine = Engine()
    answer = asyncio.run(engine.forecast(held, table(), 24, LEVELS))
    np.testing.assert_array_equal(answer, held.forecast(table(), 24, LEVELS))
    assert held.passes[0] == [1]


def test_cancelled_gone_and_late_ones_are_never_computed(held: Held) -> None:
    engine = Engine()

    async def cancelled() -> None:
        task = asyncio.create_task(engine.forecast(held, table(2), 24, LEVELS))
        await asyncio.sleep(0.01)
        task.cancel()
        await task

    async def late() -> Any:
        return await engine.forecast(held, table(4), 24, LEVELS, deadline=time.monotonic() + 0.02)

    results = asyncio.run(
        while_held(
            engine,
            held,
            cancelled(),
            engine.forecast(held, table(3), 24, LEVELS, has_gone=lambda: True),
            late(),
            engine.forecast(held, table(5), 24, LEVELS),
        )
    )
    assert isinstance(results[0], asyncio.CancelledError)
    assert isinstance(results[1], ClientDisconnect)
    assert isinstance(results[2], ProblemError)
    assert (results[2].kind, results[2].status) == ("deadline-passed", 504)
    assert results[3].shape == (5, 24, 4)
    assert held.passes == [[1], [5]]
    assert counts(engine, "queue_series") == 0


def test_a_caller_cancelled_in_mid_pass_harms_nobody(held: Held) -> None:
    engine = Engine()

    async def leave() -> list[Any]:
        held.free.clear()
        tasks = [asyncio.create_task(engine.forecast(held, table(), 24, LEVELS)) for _ in range(20)]
        while not held.passes:
            await asyncio.sleep(0.001)
        for task in tasks[::2]:
            task.cancel()
        held.free.set()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        return [*done, *await asyncio.gather(*(engine.forecast(held, table(), 24, LEVELS) for _ in range(20)))]

    done = asyncio.run(leave())
    assert all(isinstance(one, asyncio.CancelledError) for one in done[:20:2])
    assert all(one.shape == (1, 24, 4) for one in [*done[1:20:2], *done[20:]])


def test_one_that_breaks_harms_nobody(held: Held) -> None:
    engine = Engine()
    calls = [engine.forecast(held, table(1, level), 24, LEVELS) for level in (100.0, 666.0, 200.0)]
    good, broken, other = asyncio.run(while_held(engine, held, *calls))
    assert isinstance(broken, RuntimeError)
    assert good[0, 0, 1] < 150 < other[0, 0, 1]


def test_what_cannot_be_forecast_is_refused_at_once(held: Held) -> None:
    engine = Engine()
    with pytest.raises(DataError, match="needs at least 24"):
        asyncio.run(engine.forecast(held, table().keep_last(5), 24, LEVELS))
    with pytest.raises(ParameterError, match="prediction_length=0"):
        asyncio.run(engine.forecast(held, table(), 0, LEVELS))
    with pytest.raises(ParameterError, match=r"quantile level 0\.999"):
        asyncio.run(engine.forecast(held, table(), 1, [0.999]))
    assert held.passes == []


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back(held: Held) -> None:
    engine = Engine(EngineLimits(queue=10, one_pass=4))
    results = asyncio.run(while_held(engine, held, *(engine.forecast(held, table(3), 24, LEVELS) for _ in range(9))))
    refused = [one for one in results if isinstance(one, ProblemError)]
    assert [one.kind for one in refused] == ["overloaded"] * 5  # 12 series wait: the one that crosses the line does
    assert int((refused[0].headers or {})["Retry-After"]) >= 1
    assert sum(one.shape == (3, 24, 4) for one in results if not isinstance(one, ProblemError)) == 4
    assert counts(engine, "queue_series") == 0
    assert asyncio.run(engine.forecast(held, table(), 24, LEVELS)).shape == (1, 24, 4)


def test_what_would_come_too_late_is_refused_at_once(held: Held) -> None:
    engine = Engine(EngineLimits(one_pass=1))

    async def ask() -> list[Any]:
        await engine.forecast(held, table(), 24, LEVELS)
        engine._fits[held] = PassTimes()
        engine._fits[held].add(1, 2.0)  # a pass takes two seconds
        soon, later = time.monotonic() + 6, time.monotonic() + 60
        calls = [engine.forecast(held, table(), 24, LEVELS, deadline) for deadline in (later, soon, soon, soon, later)]
        return await while_held(engine, held, *calls)

    results = asyncio.run(ask())
    assert [isinstance(one, ProblemError) for one in results] == [False, False, True, True, False]
    assert (results[2].headers or {})["Retry-After"] == "6"


def test_a_large_request_lets_others_in_between(held: Held) -> None:
    engine = Engine(EngineLimits(one_pass=8))
    big, *small = asyncio.run(
        while_held(engine, held, *(engine.forecast(held, table(size), 24, LEVELS) for size in (20, 1, 1)))
    )
    assert held.passes == [[1], [8], [1, 1, 6], [6]]
    np.testing.assert_allclose(big, held.forecast(table(20), 24, LEVELS), rtol=1e-5)
    assert [one.shape for one in small] == [(1, 24, 4)] * 2


def test_long_horizons_count_for_what_they_cost(held: Held) -> None:
    engine = Engine(EngineLimits(one_pass=12))
    [answer] = asyncio.run(while_held(engine, held, engine.forecast(held, table(5), 48, LEVELS)))  # six windows each
    assert held.passes == [[1], [2], [2], [1]]
    assert answer.shape == (5, 48, 4)


def test_models_take_turns(held: Held) -> None:
    other = Held.load(TINY)
    other.passes.clear()
    engine = Engine(EngineLimits(one_pass=2))
    models = [held, held, held, other, held]
    asyncio.run(while_held(engine, held, *(engine.forecast(model, table(2), 24, LEVELS) for model in models)))
    assert held.passes == [[1], [2], [2], [2], [2]]
    assert other.passes == [[2]]
    assert len(engine._fits) == 2


@given(
    slope=st.floats(0, 0.01),
    intercept=st.floats(0, 0.1),
    sizes=st.lists(st.integers(1, 500), min_size=2, max_size=80, unique=True),
)
def test_the_time_of_passes_is_learnt(slope: float, intercept: float, sizes: list[int]) -> None:
    times = PassTimes()
    assert times.seconds(1000, 10) == 0
    for size in sizes:
        times.add(size, slope * size + intercept)
    assert times.slope >= 0
    assert times.intercept >= -1e-12
    if max(sizes) > 2 * min(sizes) and len(sizes) < 20:
        assert times.slope == pytest.approx(slope, rel=1e-3, abs=1e-7)
        assert times.seconds(1000, 100) == pytest.approx(1000 * slope + 10 * intercept, rel=1e-2, abs=1e-4)


def test_the_time_of_passes_follows_the_machine() -> None:
    times = PassTimes()
    for _ in range(300):
        times.add(10, 1.0)
    for _ in range(300):
        times.add(10, 0.1)
    assert times.seconds(10, 10) == pytest.approx(0.1, rel=0.05)
