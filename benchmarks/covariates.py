"""What known temperature and holidays bring: the same network with them and without.

    python -m benchmarks.covariates --data DATA

Electricity demand of Victoria, half-hourly, forecast for a day ahead over the last 30 days: both networks are
trained once on what came before the first of these days, and neither sees its future but for the
temperatures and holidays that the one is told. These are what came, not what was forecast, as in the
published comparisons on this set. `--part validation` moves all of it 30 days back: settings are chosen there.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.pairs import Summary, machine
from forecast import CovariatesConfig, Forecaster, NetworkConfig, SeriesTable, TrainingConfig, read_series
from forecast.backtest import Fit, backtest

DAYS, DAY = 30, 48
ZONE = "Australia/Melbourne"  # the published times are UTC; people's days are not
COVARIATES = CovariatesConfig(known=("temperature", "holiday"))
RESULTS = Path(__file__).with_name("results")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with vic_elec_utc.parquet")
    parser.add_argument("--part", choices=["validation", "test"], default="test")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--threads", type=int, help="torch's threads, by default one a core")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to write the JSON file to")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    frame = pd.read_parquet(arguments.data / "vic_elec_utc.parquet")
    frame["timestamp"] = frame["timestamp"].dt.tz_localize("UTC").dt.tz_convert(ZONE)
    table = read_series(frame, covariates=COVARIATES)
    if arguments.part == "validation":
        table = table.drop_last(DAYS * DAY)
    result = {"part": arguments.part, **measure(table, arguments.seeds, arguments.epochs)}
    arguments.results.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"machine": machine(), "result": result}, indent=1)
    (arguments.results / "covariates.json").write_text(text + "\n")
    print(json.dumps(result))


def measure(table: SeriesTable, seeds: int, epochs: int) -> Summary:
    """Backtest both networks over the last days of a table.

    Returns:
        For `with` and `without` the mean absolute error of the median by seed, `mae`, and the `seconds` that
        training and forecasting took; and `lower_by`, the share by which the mean error is lower with them.
    """
    runs: dict[str, Summary] = {"with": {"mae": [], "seconds": []}, "without": {"mae": [], "seconds": []}}
    for seed in range(seeds):
        for name, covariates in (("with", COVARIATES), ("without", CovariatesConfig())):
            begin = time.perf_counter()
            result = backtest({name: _trained(covariates, seed, epochs)}, table, prediction_length=DAY, windows=DAYS)
            runs[name]["seconds"].append(time.perf_counter() - begin)
            median = result.forecasts[name][..., 1 + result.levels.index(0.5)]
            runs[name]["mae"].append(float(np.abs(median - result.actual)[result.observed].mean()))
    lower_by = 1 - float(np.mean(runs["with"]["mae"]) / np.mean(runs["without"]["mae"]))
    return {**runs, "lower_by": lower_by}


def _trained(covariates: CovariatesConfig, seed: int, epochs: int) -> Fit:
    def fit(history: SeriesTable) -> Forecaster:
        training = TrainingConfig(seed=seed, max_epochs=epochs)
        return Forecaster(NetworkConfig(kind="lstm"), DAY, training=training, covariates=covariates).fit(history)

    return fit


if __name__ == "__main__":
    main()
