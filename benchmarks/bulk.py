"""Measure prediction in bulk: its throughput against the bare forward pass, and its memory by the number of series.

    python -m benchmarks.bulk

An LSTM of the default size reads 336 hours and forecasts 48. Its data are made up and written to a Parquet file.
Both sides take turns in one process, with as many threads: `predict`, from the file to the file, and the network
alone on batches that lie ready, of the size at which it is fastest. Memory is the highest resident size reached, less
the size before, in a fresh process for each number of series, after a small prediction has loaded all code. Reads
/proc, so Linux only.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from benchmarks.pairs import Summary, compare, machine
from forecast import Forecaster, TrainingConfig, read_series
from forecast.windows import Batch, Windows
from pipelines.predict import predict

RESULTS = Path(__file__).with_name("results")
CONTEXT, HORIZON = 336, 48
BATCH_SIZES = (64, 128, 256, 512, 1024, 2048)
READY = 4096  # windows that the bare network forecasts again and again
WRITTEN_AT_ONCE = 4000


def throughput(series: int, pairs: int) -> Summary:
    """Series per second of both, for one thread and for all that torch has.

    Returns:
        For each number of threads what `compare` gives, and the `batch_size` of the bare network.
    """
    threads = torch.get_num_threads()
    results: Summary = {}
    with tempfile.TemporaryDirectory() as folder:
        data, output = Path(folder) / "data.parquet", Path(folder) / "out.parquet"
        model = prepare(data, series)
        windows = _windows(model, data)
        for number in sorted({1, threads}):
            torch.set_num_threads(number)
            best = max(BATCH_SIZES, key=lambda size: _bare(model, windows, size, READY))
            ours, bare = [], []
            for _ in range(pairs):
                ours.append(_ours(model, data, output, series))
                bare.append(_bare(model, windows, best, series))
            results[str(number)] = {**compare(ours, bare), "batch_size": best}
    torch.set_num_threads(threads)
    return results


def memory(counts: list[int]) -> list[Summary]:
    """For each count `series`, and the `data_bytes`, `output_bytes` and `peak_bytes` of a process of its own."""
    return [_in_own_process(count) for count in counts]


def prepare(data: Path, series: int) -> Forecaster:
    """Write noise around a daily season, and train a little on it."""
    generator = np.random.default_rng(0)
    hours = np.datetime64("2024-01-01", "us") + np.arange(CONTEXT).astype("m8[h]")
    schema = pa.schema([("item_id", pa.string()), ("timestamp", pa.timestamp("us")), ("target", pa.float32())])
    with pq.ParquetWriter(data, schema) as file:
        for first in range(0, series, WRITTEN_AT_ONCE):
            count = min(WRITTEN_AT_ONCE, series - first)
            values = generator.standard_normal((count, CONTEXT), np.float32) + 2 * np.sin(
                np.arange(CONTEXT) * np.pi / 12
            )
            names = pa.array([f"series {number}" for number in range(first, first + count)])
            rows = names.take(pa.array(np.repeat(np.arange(count), CONTEXT)))
            columns = [rows, pa.array(np.tile(hours, count)), pa.array(values.astype(np.float32).ravel())]
            file.write_table(pa.table(columns, schema=schema))
    training = TrainingConfig(max_epochs=1, batches_per_epoch=2, validation_windows=1)
    steps = np.arange(2 * CONTEXT)
    example = {"timestamp": hours[0] + steps.astype("m8[h]"), "target": 5 + np.sin(steps * np.pi / 12)}
    return Forecaster("lstm", HORIZON, CONTEXT, training).fit(pa.table(example).to_pandas())


def _windows(model: Forecaster, data: Path) -> Windows:
    table = read_series(pq.ParquetFile(data).read_row_group(0).to_pandas())
    return Windows(table, CONTEXT, HORIZON, model.config.calendar_frequency)


def _ours(model: Forecaster, data: Path, output: Path, series: int) -> float:
    begin = time.perf_counter()
    predict(model, data, output)
    return series / (time.perf_counter() - begin)


def _bare(model: Forecaster, windows: Windows, size: int, series: int) -> float:
    """Series per second of the network alone, on `READY` windows over and over."""
    batches: list[Batch] = [windows.latest(some) for some in torch.split(torch.arange(READY) % len(windows), size)]
    done, begin = 0, time.perf_counter()
    with torch.inference_mode():
        while done < series:
            for batch in batches:
                model.network(batch.context, batch.observed, batch.known, batch.static)
            done += READY
    return done / (time.perf_counter() - begin)


def _in_own_process(count: int) -> Summary:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.parquet"
        prepare(data, count).save(Path(folder) / "model")
        command = [sys.executable, "-m", "benchmarks.bulk", "--peak-in", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        sizes = {"data_bytes": data.stat().st_size, "output_bytes": (Path(folder) / "out.parquet").stat().st_size}
        return {"series": count, **sizes, "peak_bytes": int(done.stdout.splitlines()[-1])}


def _peak(folder: Path) -> int:
    """Bytes of memory that a prediction needs beyond those that a small one has left."""
    model = Forecaster.load(folder / "model")
    small = pq.ParquetFile(folder / "data.parquet").read_row_group(0).slice(0, 100 * CONTEXT)
    pq.write_table(small, folder / "small.parquet")
    predict(model, folder / "small.parquet", folder / "small_out.parquet")
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    predict(model, folder / "data.parquet", folder / "out.parquet")
    return _status("VmHWM") - before


def _status(field: str) -> int:
    """A size of this process, in bytes."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to write a JSON file to")
    parser.add_argument("--quick", action="store_true", help="see that everything runs")
    parser.add_argument("--peak-in", type=Path, help="measure the memory of one prediction, in a folder made ready")
    arguments = parser.parse_args()
    if arguments.peak_in:
        print(_peak(arguments.peak_in))
        return
    series, pairs, counts = (5_000, 1, [1_000, 5_000]) if arguments.quick else (50_000, 5, [1_000, 10_000, 100_000])
    result = {"throughput": throughput(series, pairs), "memory": memory(counts)}
    arguments.results.mkdir(parents=True, exist_ok=True)
    content = json.dumps({"machine": machine(), "result": result}, indent=1)
    (arguments.results / "bulk.json").write_text(content + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
