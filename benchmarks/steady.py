"""Whether a process keeps its size: its memory over what it has done, as a slope."""

import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import NamedTuple
from urllib.request import urlopen

import numpy as np

from benchmarks.load import saturate
from benchmarks.servers import Running, Server

STEP = 2.0  # seconds of load between two looks


class Slope(NamedTuple):
    """Bytes that memory grows by for one more of what was done.

    Attributes:
        each: The slope of the line through the second half of what was seen: caches have filled by then.
        error: Its standard error.
    """

    each: float
    error: float

    @classmethod
    def of(cls, done: Sequence[float], sizes: Sequence[float]) -> "Slope":
        """Fit it.

        Args:
            done: `(N,)` how much was done, ascending; four at the least.
            sizes: `(N,)` bytes at the time.
        """
        half = len(done) // 2
        x, y = np.array(done[half:], float), np.array(sizes[half:], float)
        x, y = x - x.mean(), y - y.mean()
        slope = (x @ y) / (x @ x)
        residuals = y - slope * x
        return cls(float(slope), float(np.sqrt((residuals @ residuals) / max(len(x) - 2, 1) / (x @ x))))


def resident(pid: int) -> int:
    """Bytes of memory of a process."""
    return status(pid, "VmRSS")


def status(pid: int, field: str) -> int:
    """A size that /proc tells of a process, in bytes."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024 if found else 0


def over_requests(server: Server, here: Running, requests: int) -> dict[str, float]:
    """Ask so many times, and look at the memory every few seconds.

    Returns:
        `requests`, `failed`, `megabytes` in the end, and `bytes_each` with its `error`.
    """
    done, failed = 0, 0
    seen: list[tuple[int, int]] = []
    while done < requests:
        load = saturate(here.url, server.body, 32, STEP)
        done, failed = done + load.requests, failed + load.failed
        seen.append((done, resident(here.pid)))
    slope = Slope.of(*zip(*seen, strict=True))
    size = resident(here.pid) / 1e6
    return {"requests": done, "failed": failed, "megabytes": size, "bytes_each": slope.each, "error": slope.error}


def over_reloads(server: Server, here: Running, reloads: int, reload: Callable[[int], None]) -> dict[str, float]:
    """Swap the model so many times under load, and look at the memory after each.

    Args:
        server: What is asked.
        here: Where.
        reloads: How often.
        reload: Moves the alias, for the reload of this number, counted from 0.

    Returns:
        `reloads`, `failed` of the `requests` meanwhile, `megabytes` in the end, and `bytes_each` with its `error`.
    """
    metrics = here.url.replace(server.path, "/metrics")
    seen = []
    with ThreadPoolExecutor(1) as thread:
        load = thread.submit(_ask_until, server, here, stop := Event())
        try:
            for number in range(reloads):
                reload(number)
                _wait_until_swapped(metrics, number + 1)
                seen.append((number, resident(here.pid)))
        finally:
            stop.set()
        done, failed = load.result()
    slope = Slope.of(*zip(*seen, strict=True))
    asked = {"reloads": reloads, "requests": done, "failed": failed}
    return {**asked, "megabytes": resident(here.pid) / 1e6, "bytes_each": slope.each, "error": slope.error}


def _ask_until(server: Server, here: Running, stop: Event) -> tuple[int, int]:
    """Requests that were answered, and that failed, until told to stop."""
    loads = []
    while not stop.is_set():
        loads.append(saturate(here.url, server.body, 4, STEP))
    return sum(load.requests for load in loads), sum(load.failed for load in loads)


def _wait_until_swapped(metrics: str, times: int) -> None:
    """Wait until the service says that it has swapped its model so often.

    Raises:
        RuntimeError: It does not, within a minute.
    """
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with urlopen(metrics, timeout=10) as answer:  # noqa: S310 (our own server)
            found = re.search(rb'forecast_reloads_total\{result="swapped"\} ([0-9.]+)', answer.read())
        if found and float(found[1]) >= times:
            return
        time.sleep(0.05)
    raise RuntimeError(f"the model was not swapped {times} times")
