"""Measure accuracy on the published benchmarks, through the real commands, and write the results as JSON.

    python -m benchmarks.accuracy --data DATA

Every recipe is trained with `forecast train` on NAME_train.parquet, without anything else; `forecast predict`
writes the forecasts; only then NAME_test.parquet is read, to score them. So do single networks of each kind, and
the classical methods through the same interface.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.pairs import Summary, machine
from forecast import AutoETS, AutoTheta, SeasonalNaive, metrics, read_series
from forecast.predictor import DEFAULT_LEVELS, Predictor

RESULTS = Path(__file__).with_name("results") / "accuracy.json"
NETWORKS = ("feedforward", "cnn", "rnn", "gru", "lstm")
SETS: dict[str, tuple[int, int, tuple[float, float] | None]] = {
    # horizon, MASE's season, and the sMAPE and MASE of the competition's Naive2, which OWA is relative to
    "m4_hourly": (48, 24, (18.383, 2.395)),
    "m4_weekly": (13, 1, (9.161, 2.777)),
    "tourism_monthly": (24, 12, None),
    "tourism_quarterly": (8, 4, None),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that benchmarks.prepare wrote")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS), help="by default all")
    parser.add_argument("--networks", nargs="*", choices=NETWORKS, default=NETWORKS, help="single ones, by default all")
    parser.add_argument("--skip-classical", action="store_true", help="leave out AutoETS and AutoTheta")
    parser.add_argument("--results", type=Path, default=RESULTS, help="JSON file to add to")
    arguments = parser.parse_args()
    found: Summary = json.loads(arguments.results.read_text())["result"] if arguments.results.exists() else {}
    for name in arguments.sets:
        rows = found.setdefault(name, {})
        rows["ensemble (the recipe)"] = train_and_score(arguments.data, name)
        for network in arguments.networks:
            rows[f"{network} alone"] = train_and_score(arguments.data, name, "--network", network)
        rows.update(baselines(arguments.data, name, not arguments.skip_classical))
        arguments.results.parent.mkdir(parents=True, exist_ok=True)
        arguments.results.write_text(json.dumps({"machine": machine(), "result": found}, indent=1) + "\n")
        print(json.dumps({name: rows}), flush=True)


def train_and_score(data: Path, name: str, *options: str) -> Summary:
    """Train a recipe with the console script in a folder of its own, forecast, and score.

    Returns:
        The metrics, and the `seconds` of the training command.
    """
    forecast, train = str(Path(sys.executable).with_name("forecast")), str((data / f"{name}_train.parquet").resolve())
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        _run(folder, [forecast, "train", "--data", train, "--recipe", name, "--name", name, *options])
        seconds = time.perf_counter() - begin
        # By its version: a model that does not beat the naive forecasts is registered, but not the champion.
        _run(folder, [forecast, "predict", "--model", f"{name}/1", "--data", train, "--output", "forecast.parquet"])
        return {**score(data, name, pd.read_parquet(Path(folder) / "forecast.parquet")), "seconds": seconds}


def baselines(data: Path, name: str, classical: bool) -> Summary:
    """Seasonal naive, and the classical methods, scored in the same way."""
    horizon, season, _ = SETS[name]
    models: dict[str, Predictor] = {"seasonal naive" if season > 1 else "naive": SeasonalNaive(season, horizon)}
    if classical:
        long = max(season, read_series(data / f"{name}_train.parquet").frequency.short_season)
        models |= {"AutoETS": AutoETS(long, horizon), "AutoTheta": AutoTheta(long, horizon)}
    rows: Summary = {}
    for label, model in models.items():
        begin = time.perf_counter()
        frame = model.predict(data / f"{name}_train.parquet")
        rows[label] = {**score(data, name, frame), "seconds": time.perf_counter() - begin}
    return rows


def score(data: Path, name: str, frame: pd.DataFrame) -> dict[str, float]:
    """Metrics of forecasts against the test part: `smape, mase, owa, wql, coverage80`, means over series.

    Raises:
        ValueError: A step of the test part has no forecast.
    """
    horizon, season, naive2 = SETS[name]
    train = read_series(data / f"{name}_train.parquet")
    test = pd.read_parquet(data / f"{name}_test.parquet")
    joined = test.merge(frame, on=["item_id", "timestamp"], how="left", validate="one_to_one")
    joined = joined.sort_values("timestamp", kind="stable").set_index("item_id").loc[list(train.item_ids)]
    quantiles = joined[[str(level) for level in DEFAULT_LEVELS]].to_numpy().reshape(len(train), horizon, -1)
    actual = joined["target"].to_numpy(float).reshape(len(train), horizon)
    if not np.isfinite(quantiles).all():
        raise ValueError(f"{name}: some steps of the test part have no forecast")
    everything, median = np.ones(actual.shape, bool), quantiles[..., DEFAULT_LEVELS.index(0.5)]
    result = {
        "smape": float(metrics.smape(actual, everything, median).mean()),
        "mase": float(np.nanmean(metrics.mase(actual, everything, median, metrics.seasonal_error(train, season)))),
        "wql": metrics.wql(actual, everything, quantiles, DEFAULT_LEVELS),
        "coverage80": metrics.coverage(actual, everything, quantiles[..., 0], quantiles[..., -1]),
    }
    if naive2:
        result["owa"] = (result["smape"] / naive2[0] + result["mase"] / naive2[1]) / 2
    return result


def _run(folder: str, command: list[Any]) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


if __name__ == "__main__":
    main()
