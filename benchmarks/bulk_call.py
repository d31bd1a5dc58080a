"""One bulk call with very many series: its throughput against the bare forward pass, and the memory it takes."""

import asyncio
import io
import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import torch

from benchmarks import steady
from benchmarks.pairs import Summary, compare
from benchmarks.servers import LENGTH, START, Running, Server, running
from forecast import Forecaster, SeriesTable
from forecast.calendar import Frequency
from forecast.gapless import lay_out_gapless
from forecast.windows import Windows

ARROW = "application/vnd.apache.arrow.stream"
AT_ONCE = 1000  # series in a record batch
BARE_SIZES = (64, 128, 256, 512)
READY = 4096


def measure(server: Server, series: int, pairs: int) -> Summary:
    """Series a second of both in turns, and the peak of the worker's memory beyond what it had.

    Args:
        server: Ours.
        series: In one call.
        pairs: Turns.
    """
    model = Forecaster.load(server.environ["BENCHMARK_MODEL"]).compile()
    torch.set_num_threads(1)
    windows = Windows(_table(READY), LENGTH, model.prediction_length)
    size = max(BARE_SIZES, key=lambda one: _bare(model, windows, one, READY))
    ours, bare, peaks = [], [], []
    with running(server) as here:
        asyncio.run(_call(here, AT_ONCE))  # loads all code
        for _ in range(pairs):
            before = steady.resident(here.pid)
            Path(f"/proc/{here.pid}/clear_refs").write_text("5")  # the peak starts anew
            begin = time.perf_counter()
            answered = asyncio.run(_call(here, series))
            ours.append(series / (time.perf_counter() - begin))
            if answered < series * model.prediction_length * 40:  # bytes; refusals are far shorter
                raise RuntimeError(f"{answered} bytes are no forecasts of {series} series")
            peaks.append((steady.status(here.pid, "VmHWM") - before) / 1e6)
            bare.append(_bare(model, windows, size, series))
    return {**compare(ours, bare), "series": series, "batch_size": size, "peak_megabytes": max(peaks)}


def _bare(model: Forecaster, windows: Windows, size: int, series: int) -> float:
    """Series a second of the network alone, on batches that lie ready, over and over."""
    batches = [windows.latest(some) for some in torch.split(torch.arange(READY), size)]
    done, begin = 0, time.perf_counter()
    with torch.inference_mode():
        while done < series:
            for batch in batches:
                model.forecasting(batch.context, batch.observed, batch.known, batch.static)
            done += READY
    return done / (time.perf_counter() - begin)


def _table(count: int) -> SeriesTable:
    generator = np.random.default_rng(0)
    target = 100 + 50 * np.sin(np.arange(count * LENGTH) * np.pi / 12) + generator.standard_normal(count * LENGTH)
    names = np.array([f"s{number}" for number in range(count)], object)
    starts = np.full(count, np.datetime64(START, "us"))
    table = lay_out_gapless(names, target, np.full(count, LENGTH), starts, Frequency.parse("h"))
    if table is None:
        raise RuntimeError("the made-up series cannot be laid out")
    return table


def _stream(series: int) -> Iterator[bytes]:
    """An Arrow stream of so many series, a record batch at a time."""
    schema = pa.schema([("item_id", pa.string()), ("timestamp", pa.timestamp("us")), ("target", pa.float64())])
    hours = np.tile(np.datetime64(START, "us") + np.arange(LENGTH).astype("m8[h]"), AT_ONCE)
    values = pa.array(_table(AT_ONCE).values.astype(np.float64))
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        for first in range(0, series, AT_ONCE):
            count = min(AT_ONCE, series - first)
            names = pa.array([f"s{number}" for number in range(first, first + count)])
            rows = names.take(pa.array(np.repeat(np.arange(count), LENGTH)))
            columns = [rows, pa.array(hours[: count * LENGTH]), values[: count * LENGTH]]
            writer.write_batch(pa.record_batch(columns, schema=schema))
            yield sink.getvalue()
            sink.seek(0)
            sink.truncate()
    yield sink.getvalue()


async def _call(here: Running, series: int) -> int:
    """One call; sends while it receives. Returns the bytes of the answer."""
    parts = urlsplit(here.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = f"POST /v1/forecast:bulk HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: {ARROW}\r\n"
    writer.write(f"{head}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n".encode())

    async def send() -> None:
        for piece in _stream(series):
            if piece:
                writer.write(b"%x\r\n" % len(piece) + piece + b"\r\n")
                await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    sending = asyncio.create_task(send())
    answer = await reader.readuntil(b"\r\n\r\n")
    if not re.match(rb"HTTP/1.1 200 ", answer):
        raise RuntimeError((answer + await reader.read(1000)).decode(errors="replace"))
    received = 0
    while piece := await reader.read(1 << 20):
        received += len(piece)
    await sending
    writer.close()
    return received
