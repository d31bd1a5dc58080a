"""What the service's benchmark finds must be there: a leak, a stall, a failure."""

import asyncio
import time

import numpy as np
import pytest

from benchmarks.load import _keep_rate
from benchmarks.pairs import compare
from benchmarks.report.serving import serving
from benchmarks.steady import Slope


@pytest.mark.parametrize("leak", [0, 200])
def test_a_slope_is_that_of_the_leak_not_of_filling_caches(leak: int) -> None:
    done = np.arange(0, 1_000_000, 5_000)
    caches = 50e6 * (1 - np.exp(-done / 50_000))
    noise = np.random.default_rng(0).normal(0, 300_000, len(done))
    slope = Slope.of(done, 400e6 + caches + noise + leak * done)
    assert slope.each == pytest.approx(leak, abs=4)
    assert slope.error < 1


def test_at_an_even_rate_a_stall_counts_for_all_that_it_kept_waiting() -> None:
    stalled_until = 0.0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal stalled_until
        while await reader.read(4096):
            number = next(asked)
            if number == 50:
                stalled_until = time.perf_counter() + 0.3
            await asyncio.sleep(max(stalled_until - time.perf_counter(), 0))
            status = b"500 No" if number == 150 else b"200 OK"
            writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    async def ask() -> None:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            load = await _keep_rate(f"http://127.0.0.1:{port}/", b"{}", rate=200, seconds=1, connections=2)
        assert (load.requests, load.failed) == (199, 1)
        assert load.p50 < 200 < load.p99 < 1000

    asked = iter(range(10_000))
    asyncio.run(ask())


def test_the_tables_hold_the_bars_and_what_was_found() -> None:
    row = {"rate": 3000.0, "p50": 9.0, "p99": 20.0, "failed": 0, "rates": compare([3000], [300])}
    sides = {
        "service": {"server": "forecast serve", **row, "latencies": compare([9], [9])},
        "mlflow": {"server": "mlflow models serve", **row, "rate": 300.0, "latencies": compare([9], [90])},
    }
    growth = {"requests": 1_000_000, "reloads": 100, "bytes_each": 0.5, "error": 0.25, "megabytes": 410.0}
    way = {"way": "int8", "prepare": 0.5, "error": 3e-3, "windows": {"1": {"microseconds": 700.0, "ratio": 1.5}}}
    text = serving(
        {
            "throughput": {"32": sides},
            "startup": compare([5], [10]),
            "evenly": [{"ratio": 2.0, "p50": 3.0, "p99": 6.0}],
            "memory": {"fresh": 400.0, **dict.fromkeys(("requests", "control", "reloads"), growth)},
            "bulk": {**compare([800], [1000]), "series": 100_000, "peak_megabytes": 90.0},
            "forward": [way, {"way": "AOTInductor", "fault": "no compiler"}],
        }
    )
    assert "| mlflow models serve | 300 | 9.0 | 20.0 | **10.00** (10.00-10.00) | **0.10** (0.10-0.10) |" in text
    assert "| start to ready | 5.0 s, MLflow 10.0 s: **0.50** (0.50-0.50) | at most 0.5 |" in text
    assert "| growth over 1,000,000 requests | 0.5 ± 0.2 bytes each, 410 MB in the end | none |" in text
    assert "| growth over 100 reloads |" in text
    assert "| int8 | 0.5 | 3e-03 | 700 (1.50) |" in text
    assert "| AOTInductor | no compiler |  |  |" in text
