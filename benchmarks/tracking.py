"""Measure what tracking costs a training: its time with each epoch's losses sent to a run, and without.

    python -m benchmarks.tracking

Both sides take turns in one process, on the bundled data; the order changes from pair to pair. The losses go to
a SQLite file, and over HTTP to an MLflow server beside it. The time is that of the whole training, until the last
loss is in the store.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks.pairs import Summary, compare, machine
from forecast import Forecaster, ForecasterConfig, SeriesTable, TrainingConfig, read_series
from forecast.auto import resolve
from forecast.config import NetworkConfig
from forecast.datasets import load_pedestrian
from pipelines.record import RunMetrics
from pipelines.tracking import connect, experiment_id

RESULTS = Path(__file__).with_name("results")
HORIZON, EPOCHS = 48, 3
WAIT = 60  # seconds that the server may take to start


def measure(pairs: int, epochs: int) -> Summary:
    """Seconds with and without tracking, for each store and network.

    Args:
        pairs: Turns of each.
        epochs: Epochs of a training; it is not stopped early.
    """
    table = read_series(load_pedestrian())
    results: Summary = {}
    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{folder}/mlflow.db"
        results |= {f"{kind}, SQLite": _pairs(kind, table, database, pairs, epochs) for kind in ("lstm", "feedforward")}
        with _server(folder) as address:
            results["feedforward, server"] = _pairs("feedforward", table, address, pairs, epochs)
    return results


def _pairs(kind: str, table: SeriesTable, address: str, pairs: int, epochs: int) -> Summary:
    os.environ["MLFLOW_TRACKING_URI"] = address
    training = TrainingConfig(max_epochs=epochs, patience=epochs)
    network = NetworkConfig.build(kind=kind)
    config = resolve(ForecasterConfig(prediction_length=HORIZON, network=network, training=training), table)
    _seconds(config, table, tracked=True)  # loads all code, and makes the tables of the store
    both: dict[bool, list[float]] = {True: [], False: []}
    for pair in range(pairs):
        for tracked in (True, False) if pair % 2 else (False, True):
            both[tracked].append(_seconds(config, table, tracked))
    return compare(both[True], both[False])


def _seconds(config: ForecasterConfig, table: SeriesTable, tracked: bool) -> float:
    if not tracked:
        begin = time.perf_counter()
        Forecaster.from_config(config).fit(table)
        return time.perf_counter() - begin
    client = connect()
    run_id = client.create_run(experiment_id(client, "benchmark")).info.run_id
    begin = time.perf_counter()
    with RunMetrics(client, run_id) as metrics:
        Forecaster.from_config(config).fit(table, [metrics.curves()])
    return time.perf_counter() - begin


@contextmanager
def _server(folder: str) -> Iterator[str]:
    """An MLflow server with a store of its own, until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    store = ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", folder]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    paths = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # MLflow starts uvicorn by its name
    environment = {**os.environ, "PATH": paths, "MLFLOW_DISABLE_TELEMETRY": "true"}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        [*command, *store], env=environment, stdout=quiet, stderr=quiet, start_new_session=True
    ) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(f"{address}/health")
            yield address
        finally:
            os.killpg(process.pid, signal.SIGTERM)  # and what it has started


def _wait_for(address: str) -> None:
    end = time.monotonic() + WAIT
    while True:
        try:
            with urlopen(address, timeout=2):  # noqa: S310 (our own server)
                return
        except (URLError, TimeoutError):
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to write a JSON file to")
    parser.add_argument("--quick", action="store_true", help="see that everything runs")
    arguments = parser.parse_args()
    result = measure(pairs=1, epochs=2) if arguments.quick else measure(pairs=15, epochs=EPOCHS)
    arguments.results.mkdir(parents=True, exist_ok=True)
    content = json.dumps({"machine": machine(), "result": result}, indent=1)
    (arguments.results / "tracking.json").write_text(content + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
