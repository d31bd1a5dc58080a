"""Load for HTTP servers: `wrk` for as much as they take, an even rate of our own for how long they take.

wrk sends the next request when an answer comes, so that a server that stalls is asked less, and its stalls hardly
count. At an even rate a request that could not be sent in time counts from when it should have been.
"""

import asyncio
import json
import re
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

SCRIPT = """
wrk.method, wrk.body, wrk.headers["Content-Type"] = "POST", {body}, "application/json"
done = function(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  print(string.format('{{"requests": %d, "microseconds": %d, "failed": %d, "p50": %d, "p99": %d}}',
    summary.requests, summary.duration, failed, latency:percentile(50), latency:percentile(99)))
end
"""


class Load(NamedTuple):
    """What came of it.

    Attributes:
        rate: Answers a second.
        p50, p99: Milliseconds within which half, and 99 of 100, were answered.
        failed: Requests without an answer of status 2xx.
        requests: Those that were answered.
    """

    rate: float
    p50: float
    p99: float
    failed: int
    requests: int


def saturate(url: str, body: bytes, connections: int, seconds: float) -> Load:
    """Ask as fast as the answers come.

    Raises:
        RuntimeError: wrk cannot be run.
    """
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "post.lua"
        script.write_text(SCRIPT.format(body=f"[==[{body.decode()}]==]"), encoding="utf-8")
        options = ["-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "10s", "-s", str(script)]
        done = subprocess.run(["wrk", *options, url], capture_output=True, text=True, check=False)  # noqa: S607
    found = re.search(r"^\{.*\}$", done.stdout, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"wrk failed:\n{done.stdout}{done.stderr}")
    told = json.loads(found[0])
    good = told["requests"] - told["failed"]
    rate = good / told["microseconds"] * 1e6
    return Load(rate, told["p50"] / 1000, told["p99"] / 1000, told["failed"], good)


def keep_rate(url: str, body: bytes, rate: float, seconds: float, connections: int = 64) -> Load:
    """Ask at an even rate, whether or not the answers come."""
    import uvloop

    return uvloop.run(_keep_rate(url, body, rate, seconds, connections))


async def _keep_rate(url: str, body: bytes, rate: float, seconds: float, connections: int) -> Load:
    parts = urlsplit(url)
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    due: asyncio.Queue[float | None] = asyncio.Queue()
    took: list[float] = []
    failed = 0

    async def caller() -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        while (at := await due.get()) is not None:
            writer.write(request)
            status, _ = await _read_answer(reader)
            took.append(time.perf_counter() - at)
            failed += status != 200
        writer.close()

    callers = [asyncio.create_task(caller()) for _ in range(connections)]
    await asyncio.sleep(0.2)
    began, sent, total = time.perf_counter(), 0, round(rate * seconds)
    while sent < total:
        owed = min(int((time.perf_counter() - began) * rate) + 1, total)
        for number in range(sent, owed):
            due.put_nowait(began + number / rate)
        sent = max(sent, owed)
        await asyncio.sleep(max(began + sent / rate - time.perf_counter(), 0))
    for _ in callers:
        due.put_nowait(None)
    await asyncio.gather(*callers)
    elapsed = time.perf_counter() - began
    percentiles = statistics.quantiles(took, n=100)
    good = len(took) - failed
    return Load(good / elapsed, percentiles[49] * 1000, percentiles[98] * 1000, failed, good)


async def _read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The status and the body of an answer that announces its length."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    return int(head.split(b" ", 2)[1]), await reader.readexactly(int(length[1]) if length else 0)
