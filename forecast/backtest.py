"""Rolling-origin evaluation: what would the forecasts have been, and how far off."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecast import metrics
from forecast.errors import DataError, ParameterError, Problem
from forecast.predictor import DEFAULT_LEVELS, Predictor, check_horizon
from forecast.table import SeriesTable


@dataclass(frozen=True)
class Backtest:
    """Forecasts of M windows (a series at an origin each) by several models, and what came.

    Attributes:
        table: The series.
        series: `(M,)` which series each window belongs to.
        origins: `(M,)` the first step forecast.
        actual, observed: `(M, H)` what came, and whether it was observed.
        forecasts: By model, `(M, H, 1 + Q)`: mean and quantiles.
        levels: Q levels.
        season: Steps of the season that MASE and RMSSE are scaled by.
        scale, deviation: `(M,)` seasonal-naive error of each window's own history, mean absolute and
            root mean square.
    """

    table: SeriesTable
    series: npt.NDArray[np.int64]
    origins: npt.NDArray[np.int64]
    actual: npt.NDArray[np.float32]
    observed: npt.NDArray[np.bool_]
    forecasts: dict[str, npt.NDArray[np.float32]]
    levels: tuple[float, ...]
    season: int
    scale: npt.NDArray[np.floating]
    deviation: npt.NDArray[np.floating]

    def metrics(self, model: str) -> dict[str, float]:
        """Means over windows: `mase, rmsse, smape, wql, coverage80`. The median is the point forecast."""
        forecast = self.forecasts[model]
        median, quantiles = self._level(forecast, 0.5), forecast[..., 1:]
        lower, upper = self._level(forecast, 0.1), self._level(forecast, 0.9)
        return {
            "mase": _mean(metrics.mase(self.actual, self.observed, median, self.scale)),
            "rmsse": _mean(metrics.rmsse(self.actual, self.observed, median, self.deviation)),
            "smape": _mean(metrics.smape(self.actual, self.observed, median)),
            "wql": metrics.wql(self.actual, self.observed, quantiles, self.levels),
            "coverage80": metrics.coverage(self.actual, self.observed, lower, upper),
        }

    def leaderboard(self) -> pd.DataFrame:
        """The metrics of all models, the best MASE first."""
        return pd.DataFrame({model: self.metrics(model) for model in self.forecasts}).T.sort_values("mase")

    def frame(self, model: str) -> pd.DataFrame:
        """One model's forecasts as a long frame: `item_id, cutoff, timestamp, target, mean, 0.1, ...`.

        `cutoff` is the last time the model knew of; `target` is missing where nothing was observed.
        """
        horizon = self.actual.shape[1]
        picked = self.table.select(self.series)
        positions = self.origins[:, None] + np.arange(horizon)
        cutoff = picked.timestamps(picked.times(self.origins[:, None] - 1))
        columns: dict[str, object] = {
            "item_id": np.repeat(picked.item_ids, horizon),
            "cutoff": cutoff.repeat(horizon),
            "timestamp": picked.timestamps(picked.times(positions)),
            "target": np.where(self.observed, self.actual, np.nan).ravel(),
        }
        flat = self.forecasts[model].reshape(-1, 1 + len(self.levels))
        names = ["mean", *map(str, self.levels)]
        return pd.DataFrame({**columns, **{name: flat[:, k] for k, name in enumerate(names)}})

    def _level(self, forecast: npt.NDArray[np.float32], level: float) -> npt.NDArray[np.float32]:
        return forecast[..., 1 + self.levels.index(level)]


def backtest(
    models: Mapping[str, Predictor],
    table: SeriesTable,
    *,
    prediction_length: int,
    windows: int = 1,
    season: int | None = None,
    quantile_levels: Sequence[float] = DEFAULT_LEVELS,
) -> Backtest:
    """Forecast the last windows of every series with each model, knowing only what came before.

    Models are not trained here: one that saw these windows in training is judged too kindly.

    Args:
        models: By name.
        table: The series; a window is left out where one of the models has too little history for it.
        prediction_length: Steps H of a window; windows follow each other without overlap.
        windows: How many, the last one at the series' end.
        season: Steps of the season that MASE is scaled by, by default the frequency's short one.
        quantile_levels: Levels, 0.1, 0.5 and 0.9 among them.

    Raises:
        DataError: No series is long enough for any window ("series-too-short").
        ParameterError: The horizon, the number of windows or the levels are out of range.
    """
    check_horizon(prediction_length)
    levels = tuple(quantile_levels)
    for name, count in (("windows", windows), ("season", season)):
        if count is not None and count < 1:
            raise ParameterError(Problem(f"{name}={count} is not positive", "ask for 1 or more", field=name))
    if not {0.1, 0.5, 0.9} <= set(levels):
        found = ", ".join(map(str, levels)) or "none"
        problem = Problem(
            f"the levels 0.1, 0.5 and 0.9 are measured, found {found}", "add them", field="quantile_levels"
        )
        raise ParameterError(problem)
    seasons = table.frequency.season_lengths
    lag = (seasons[0] if seasons else 1) if season is None else season
    parts: list[tuple[npt.NDArray[np.int64], SeriesTable]] = []
    for window in range(windows, 0, -1):
        kept = np.flatnonzero(table.lengths > window * prediction_length)
        history = table.select(kept).drop_last(window * prediction_length)
        usable = np.logical_and.reduce([model.usable(history) for model in models.values()])
        if usable.any():
            parts.append((kept[usable], history.select(usable)))
    if not parts:
        needed = prediction_length + max(model.minimum_history for model in models.values())
        raise DataError(
            "series-too-short",
            Problem(
                f"no series is long enough to backtest: the longest has {int(table.lengths.max())} steps, "
                f"{needed} are needed",
                "send more history or forecast fewer steps",
                field="target",
            ),
        )
    series = np.concatenate([index for index, _ in parts])
    origins = np.concatenate([history.lengths for _, history in parts])
    position = (table.offsets[series] + origins)[:, None] + np.arange(prediction_length)
    observed = table.observed[position]
    return Backtest(
        table=table,
        series=series,
        origins=origins,
        actual=table.values[position],
        observed=observed,
        forecasts={
            name: np.concatenate([model.forecast(history, prediction_length, levels) for _, history in parts])
            for name, model in models.items()
        },
        levels=levels,
        season=lag,
        scale=np.concatenate([metrics.seasonal_error(history, lag) for _, history in parts]),
        deviation=np.concatenate([metrics.seasonal_deviation(history, lag) for _, history in parts]),
    )


def _mean(values: npt.NDArray[np.floating]) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
