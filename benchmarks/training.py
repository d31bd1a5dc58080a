"""Measure training speed, side by side in one run, and write the results as JSON.

    python -m benchmarks.training --data DATA --peer-python .venv-bench/bin/python

DATA is the folder that benchmarks/prepare.py wrote. `--quick` takes minutes and shows that everything runs;
its figures mean little.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch

from benchmarks import loop, race, rates, series_count
from benchmarks.pairs import machine
from benchmarks.peers import Peer
from forecast import read_series

RESULTS = Path(__file__).with_name("results")


class Effort(NamedTuple):
    """How much is measured."""

    pairs: int
    steps: int
    batches: int
    counts: list[int]
    seeds: int
    epochs: list[int]
    peer_steps: list[int]


FULL = Effort(5, 100, 40, [100, 1000, 10_000, 100_000], 2, [1, 3, 6, 12, 24], [50, 125, 250, 500, 1000])
QUICK = Effort(1, 10, 5, [100, 10_000], 1, [1, 4], [10, 40])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with m4_hourly_train.parquet")
    parser.add_argument("--peer-python", type=Path, required=True, help="interpreter that has neuralforecast")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to write JSON files to")
    parser.add_argument("--threads", type=int, help="torch's threads, by default one a core")
    parser.add_argument("--only", nargs="+", choices=["loop", "rates", "series_count", "race"], help="by default all")
    parser.add_argument("--quick", action="store_true", help="see that everything runs")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    effort = QUICK if arguments.quick else FULL
    path = arguments.data / "m4_hourly_train.parquet"
    frame = pd.read_parquet(path)
    table = read_series(frame)

    measurements: dict[str, Callable[[], object]] = {
        "loop": lambda: loop.measure(table, effort.pairs, effort.batches),
        "rates": lambda: rates.measure(table, Peer(arguments.peer_python, path), effort.pairs, effort.steps),
        "series_count": lambda: series_count.measure(effort.counts, effort.pairs, effort.steps),
        "race": lambda: race.measure(frame, arguments.peer_python, effort.seeds, effort.epochs, effort.peer_steps),
    }
    arguments.results.mkdir(parents=True, exist_ok=True)
    for name in arguments.only or measurements:
        result = {"machine": machine(), "result": measurements[name]()}
        (arguments.results / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
        print(json.dumps({name: result["result"]}), flush=True)


if __name__ == "__main__":
    main()
