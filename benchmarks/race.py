"""Accuracy over seconds: how good a forecast is after a training of a given length, ours and the peers'.

The last 48 hours of each series of M4's hourly training part are kept back, from everyone, and forecast. Every
point is a training of its own, whose learning rate is annealed over its own length, as the libraries do it.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.pairs import Summary
from benchmarks.peers import Peer
from forecast import Forecaster, SeasonalNaive, TrainingConfig, read_series
from forecast.metrics import mase, seasonal_error

HORIZON, CONTEXT, SEASON = 48, 168, 24
OURS = ("lstm", "feedforward")
# NHITS' own default does not scale its windows, on series of very different size: a setting it needs here.
PEERS: dict[str, dict[str, Any]] = {"LSTM": {}, "NHITS": {"scaler_type": "robust"}}


def measure(frame: pd.DataFrame, python: Path, seeds: int, epochs: list[int], steps: list[int]) -> Summary:
    """Train all for each length, in turns.

    Args:
        frame: Long table; the end of each series is kept back.
        python: The peers' interpreter.
        seeds: Trainings of each length.
        epochs: Lengths of our trainings.
        steps: Lengths of theirs.

    Returns:
        The `mase` of seasonal naive, and of each run with its `method`, `seconds` and `seed`.
    """
    past = frame[frame.groupby("item_id").cumcount(ascending=False) >= HORIZON]
    naive = SeasonalNaive(SEASON).predict(read_series(past), HORIZON, [0.5])
    with tempfile.TemporaryDirectory() as folder:
        data, forecasts = Path(folder) / "past.parquet", Path(folder) / "forecasts.parquet"
        past.to_parquet(data, index=False)
        peer = Peer(python, data)
        runs = [
            {"method": method, "seed": seed, "seconds": seconds, "mase": score(frame, forecast)}
            for seed in range(seeds)
            for method, seconds, forecast in _round(past, peer, forecasts, seed, epochs, steps)
        ]
    return {"seasonal_naive": score(frame, naive.rename(columns={"0.5": "forecast"})), "runs": runs}


def _round(
    past: pd.DataFrame, peer: Peer, forecasts: Path, seed: int, epochs: list[int], steps: list[int]
) -> Iterator[tuple[str, float, pd.DataFrame]]:
    """One training of each method and length: its name, its seconds, its forecast."""
    for length, number in zip(epochs, steps, strict=True):
        for kind in OURS:
            model = Forecaster(kind, HORIZON, CONTEXT, TrainingConfig(max_epochs=length, seed=seed))
            begin = time.perf_counter()
            model.fit(past)
            seconds = time.perf_counter() - begin
            yield f"ours, {kind}", seconds, model.predict(past, HORIZON, [0.5]).rename(columns={"0.5": "forecast"})
        for name, settings in PEERS.items():
            training = {"h": HORIZON, "input_size": CONTEXT, "max_steps": number, "random_seed": seed}
            done = peer.fit(name, {**training, **settings}, forecasts)
            yield f"neuralforecast, {name}", done["seconds"], pd.read_parquet(forecasts)


def score(frame: pd.DataFrame, forecast: pd.DataFrame) -> float:
    """Mean MASE over the last steps of each series.

    Args:
        frame: Long table, series by series in the order of time.
        forecast: `item_id, timestamp, forecast` in any order.

    Raises:
        ValueError: A step is not forecast, or more than once.
    """
    table = read_series(frame)
    actual, observed = table.tail(HORIZON)
    kept = frame[frame.groupby("item_id").cumcount(ascending=False) < HORIZON]
    joined = kept.merge(forecast, on=["item_id", "timestamp"], how="left", validate="one_to_one")
    if not np.isfinite(joined["forecast"].to_numpy(float)).all():
        raise ValueError("not every step that was kept back is forecast")
    wide: npt.NDArray[np.float64] = joined["forecast"].to_numpy(float).reshape(len(table), HORIZON)
    return float(np.nanmean(mase(actual, observed, wide, seasonal_error(table.drop_last(HORIZON), SEASON))))
