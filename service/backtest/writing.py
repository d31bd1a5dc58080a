"""From windows that were judged to the JSON that tells of them."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecast.backtest import Backtest, over_windows
from service.answers import times_of, to_json, version_of
from service.backtest.judgement import BASELINES, MODEL, Windows
from service.models import ServedModel

Scores = dict[str, float | None]


def write_answer(
    model: ServedModel,
    windows: Sequence[Windows],
    forecasts: Sequence[npt.NDArray[np.float32]],
    quantile_levels: Sequence[float],
    tests: Sequence[Backtest],
) -> bytes:
    """The body of a `schema.BacktestResponse`.

    Args:
        model: The model that was judged.
        windows: Those of the request, by clock.
        forecasts: `(M, H, 1 + R)` for each.
        quantile_levels: R levels.
        tests: How far off the forecasts are, and naive ones.
    """
    series: dict[int, dict[str, Any]] = {}
    for some, forecast, test in zip(windows, forecasts, tests, strict=True):
        caution = model.forecaster.caution(forecast.shape[1])
        shown = _windows(some, forecast, quantile_levels, test)
        for number, place in enumerate(some.part.places):
            series[place] = {
                "item_id": some.part.table.item_ids[number],
                "windows": shown[number * some.count : (number + 1) * some.count],
                "warnings": [*some.part.table.warnings(number), *([caution] if caution else [])],
            }
    places = np.concatenate([np.array(some.part.places)[some.series] for some in windows])
    overall, each = {}, {}
    for name in (MODEL, *BASELINES):
        rows = pd.concat([test.per_window(name).drop(columns=["item_id", "cutoff"]) for test in tests])
        [overall[name]] = _scores(over_windows(rows, np.zeros_like(places)))
        each[name] = _scores(over_windows(rows, places))
    content = {
        "model": version_of(model),
        "season": tests[0].season,
        "metrics": overall,
        "series": [
            {**series[place], "metrics": {name: scores[place] for name, scores in each.items()}}
            for place in sorted(series)
        ],
    }
    return to_json(content)


def _windows(
    windows: Windows, forecast: npt.NDArray[np.float32], quantile_levels: Sequence[float], test: Backtest
) -> list[dict[str, Any]]:
    """A `schema.BacktestWindow` for each."""
    numbers = np.ascontiguousarray(forecast.transpose(0, 2, 1))  # (M, 1 + R, H)
    median = 1 + test.levels.index(0.5)
    naive = {name: np.ascontiguousarray(test.forecasts[name][..., median]) for name in BASELINES}
    actual = np.where(windows.observed, windows.actual, np.float32(np.nan))  # null in JSON
    names = [str(level) for level in quantile_levels]
    return [
        {
            "history_length": int(origin),
            **times,
            "actual": actual[number],
            "mean": mean,
            "quantiles": dict(zip(names, quantiles, strict=True)),
            "baselines": {name: forecasts[number] for name, forecasts in naive.items()},
        }
        for number, (origin, times, (mean, *quantiles)) in enumerate(
            zip(test.origins, times_of(windows.history, forecast.shape[1]), numbers, strict=True)
        )
    ]


def _scores(frame: pd.DataFrame) -> list[Scores]:
    """A `schema.Scores` for each row: six digits, and null for what is no number."""
    return [
        {
            name: float(f"{value:.6g}") if isfinite(value) else None
            for name, value in zip(map(str, frame), row, strict=True)
        }
        for row in frame.to_numpy().tolist()
    ]
