"""Both sides of the race are scored alike, on the hours kept back."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.race import HORIZON, SEASON, score


def series() -> pd.DataFrame:
    times = pd.date_range("2024-01-01", periods=120, freq="h")
    day = np.tile(np.arange(SEASON), 5)
    steps = np.repeat(np.arange(5.0), SEASON)  # each day lies one above the day before: a seasonal error of 1
    return pd.concat(
        [
            pd.DataFrame({"item_id": name, "timestamp": times, "target": size * (day + steps)})
            for name, size in (("b", 1), ("a", 50))
        ]
    )


def test_score_is_the_mean_mase_whatever_the_order_of_the_forecast() -> None:
    frame = series()
    kept = frame.groupby("item_id", sort=False).tail(HORIZON).rename(columns={"target": "forecast"})
    kept["forecast"] += np.where(kept["item_id"] == "a", 50 * 3.0, 1.0)
    assert score(frame, kept.sort_values(["timestamp", "item_id"])) == pytest.approx((3 + 1) / 2)


def test_a_step_that_is_not_forecast_is_an_error() -> None:
    frame = series()
    kept = frame.groupby("item_id", sort=False).tail(HORIZON).rename(columns={"target": "forecast"})
    with pytest.raises(ValueError, match="not every step"):
        score(frame, kept[1:])
