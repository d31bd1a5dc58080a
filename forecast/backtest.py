"""Rolling-origin evaluation: what would the forecasts have been, and how far off."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecast import metrics
from forecast.errors import DataError, ParameterError, Problem
from forecast.predictor import DEFAULT_LEVELS, Predictor, check_horizon
from forecast.table import SeriesTable

Fit = Callable[[SeriesTable], Predictor]
"""Trains a model on a table: `lambda table: Forecaster.from_config(config).fit(table)`."""


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
        lower, upper = self._level(model, 0.1), self._level(model, 0.9)
        return {
            **{name: _mean(values) for name, values in self._by_window(model).items()},
            "wql": metrics.wql(self.actual, self.observed, self._quantiles(model), self.levels),
            "coverage80": metrics.coverage(self.actual, self.observed, lower, upper),
        }

    def per_window(self, model: str) -> pd.DataFrame:
        """The metrics of each window by itself, and what WQL and coverage are shares of, summed over its steps.

        Returns:
            A row for each window: `item_id, cutoff` (the last time the model knew of), `mase, rmsse, smape`,
            `loss` (quantile loss) and `size` (|actual|) in the units of the data, `inside` (values in the
            80 % interval) and `observed` (values).
        """
        sums = {name: part.sum(1) for name, part in self._parts(model).items()}
        names = {"item_id": self.table.item_ids[self.series], "cutoff": self._cutoffs()}
        return pd.DataFrame({**names, **self._by_window(model), **sums})

    def per_series(self, model: str) -> pd.DataFrame:
        """The metrics of each series by itself, over its windows: a row by `item_id`, for those that have any."""
        means = over_windows(self.per_window(model), self.series)
        return means.set_axis(pd.Index(self.table.item_ids[means.index], name="item_id"))

    def per_lead_time(self, model: str) -> pd.DataFrame:
        """The metrics of each step of the horizon by itself, over windows: a row by `lead_time`, from 1 on.

        RMSSE is the root of the mean square over windows here, so that large errors keep their weight.
        """
        horizon = self.actual.shape[1]
        # Each step is a window of one step.
        actual, observed = self.actual.reshape(-1, 1), self.observed.reshape(-1, 1)
        median = self._level(model, 0.5).reshape(-1, 1)
        steps = {
            "mase": metrics.mase(actual, observed, median, self.scale.repeat(horizon)),
            "rmsse": metrics.rmsse(actual, observed, median, self.deviation.repeat(horizon)) ** 2,
            "smape": metrics.smape(actual, observed, median),
        }
        lead_times = pd.RangeIndex(1, horizon + 1, name="lead_time")
        means = pd.DataFrame({name: pd.DataFrame(step.reshape(-1, horizon)).mean() for name, step in steps.items()})
        means["rmsse"] **= 0.5
        sums = pd.DataFrame({name: part.sum(0) for name, part in self._parts(model).items()})
        return _with_shares(means, sums).set_axis(lead_times)

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
        columns: dict[str, object] = {
            "item_id": np.repeat(picked.item_ids, horizon),
            "cutoff": self._cutoffs().repeat(horizon),
            "timestamp": picked.timestamps(picked.times(positions)),
            "target": np.where(self.observed, self.actual, np.nan).ravel(),
        }
        flat = self.forecasts[model].reshape(-1, 1 + len(self.levels))
        names = ["mean", *map(str, self.levels)]
        return pd.DataFrame({**columns, **{name: flat[:, k] for k, name in enumerate(names)}})

    def _cutoffs(self) -> pd.Index:
        """`(M,)` the last time before each window."""
        picked = self.table.select(self.series)
        return picked.timestamps(picked.times(self.origins[:, None] - 1))

    def _quantiles(self, model: str) -> npt.NDArray[np.float32]:
        return self.forecasts[model][..., 1:]

    def _level(self, model: str, level: float) -> npt.NDArray[np.float32]:
        return self._quantiles(model)[..., self.levels.index(level)]

    def _by_window(self, model: str) -> dict[str, npt.NDArray[np.floating]]:
        """The metrics that have a value for each window, `(M,)`."""
        median = self._level(model, 0.5)
        return {
            "mase": metrics.mase(self.actual, self.observed, median, self.scale),
            "rmsse": metrics.rmsse(self.actual, self.observed, median, self.deviation),
            "smape": metrics.smape(self.actual, self.observed, median),
        }

    def _parts(self, model: str) -> dict[str, npt.NDArray[Any]]:
        """What WQL and coverage are shares of, `(M, H)` each, to be summed over any windows and steps."""
        lower, upper = self._level(model, 0.1), self._level(model, 0.9)
        return {
            "loss": metrics.quantile_loss(self.actual, self.observed, self._quantiles(model), self.levels),
            "size": np.abs(np.where(self.observed, self.actual, 0).astype(np.float64)),
            "inside": (self.actual >= lower) & (self.actual <= upper) & self.observed,
            "observed": self.observed,
        }


def backtest(
    models: Mapping[str, Predictor | Fit],
    table: SeriesTable,
    *,
    prediction_length: int,
    windows: int = 1,
    step: int | None = None,
    refit: bool = False,
    season: int | None = None,
    quantile_levels: Sequence[float] = DEFAULT_LEVELS,
) -> Backtest:
    """Forecast the last windows of every series with each model, knowing only what came before.

    A model is used as it is: one that saw these windows in training is judged too kindly. A function
    that trains a model is given what was known before the first window, or with `refit` what was known
    before each window in turn. What was known ends the same number of steps before each series' own end.

    Args:
        models: By name, models or functions that train one on a table.
        table: The series; a window is left out where one of the models has too little history for it.
        prediction_length: Steps H of a window.
        windows: How many, the last one at the series' end.
        step: Steps from one window to the next, by default H: no overlap.
        refit: Whether to train anew before every window.
        season: Steps of the season that MASE is scaled by, by default the frequency's short one.
        quantile_levels: Levels, 0.1, 0.5 and 0.9 among them.

    Raises:
        DataError: No series is long enough for any window ("series-too-short"), or for training.
        ParameterError: The horizon, the number of windows, their distance or the levels are out of range.
    """
    check_horizon(prediction_length)
    levels = tuple(quantile_levels)
    for name, count in (("windows", windows), ("step", step), ("season", season)):
        if count is not None and count < 1:
            raise ParameterError(Problem(f"{name}={count} is not positive", "ask for 1 or more", field=name))
    if not {0.1, 0.5, 0.9} <= set(levels):
        found = ", ".join(map(str, levels)) or "none"
        problem = Problem(
            f"the levels 0.1, 0.5 and 0.9 are measured, found {found}", "add them", field="quantile_levels"
        )
        raise ParameterError(problem)
    lag = table.frequency.short_season if season is None else season
    ends = prediction_length + np.arange(windows)[::-1] * (step or prediction_length)
    ready: Mapping[str, Predictor] = {}
    parts: list[tuple[npt.NDArray[np.int64], SeriesTable]] = []
    forecasts: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in models}
    for end in ends[ends < table.lengths.max()].tolist():
        history = table.drop_last(end)
        if refit or not ready:
            ready = {name: model if isinstance(model, Predictor) else model(history) for name, model in models.items()}
        usable = np.logical_and.reduce([model.usable(history) for model in ready.values()])
        if usable.any():
            history = history.select(usable)
            parts.append((np.flatnonzero(table.lengths > end)[usable], history))
            for name, model in ready.items():
                forecasts[name].append(model.forecast(history, prediction_length, levels))
    if not parts:
        raise _too_short(table, prediction_length, [*models.values(), *ready.values()])
    series = np.concatenate([index for index, _ in parts])
    origins = np.concatenate([history.lengths for _, history in parts])
    position = (table.offsets[series] + origins)[:, None] + np.arange(prediction_length)
    return Backtest(
        table=table,
        series=series,
        origins=origins,
        actual=table.values[position],
        observed=table.observed[position],
        forecasts={name: np.concatenate(answers) for name, answers in forecasts.items()},
        levels=levels,
        season=lag,
        scale=np.concatenate([metrics.seasonal_error(history, lag) for _, history in parts]),
        deviation=np.concatenate([metrics.seasonal_deviation(history, lag) for _, history in parts]),
    )


def over_windows(windows: pd.DataFrame, groups: npt.NDArray[np.int64]) -> pd.DataFrame:
    """The metrics of groups of windows, such as those of a series, or all of several backtests.

    Args:
        windows: M rows of `Backtest.per_window`.
        groups: `(M,)` which group each belongs to.

    Returns:
        `mase, rmsse, smape, wql, coverage80`: a row by group, for those that have any window.
    """
    grouped = windows.groupby(groups)
    sums = grouped[["loss", "size", "inside", "observed"]].sum()
    return _with_shares(grouped[["mase", "rmsse", "smape"]].mean(), sums)


def _too_short(table: SeriesTable, prediction_length: int, models: Sequence[Predictor | Fit]) -> DataError:
    minimum = max((model.minimum_history for model in models if isinstance(model, Predictor)), default=1)
    detail = (
        f"no series is long enough to backtest: the longest has {int(table.lengths.max())} steps, "
        f"{prediction_length + minimum} are needed"
    )
    return DataError("series-too-short", Problem(detail, "send more history or forecast fewer steps", field="target"))


def _mean(values: npt.NDArray[np.floating]) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _with_shares(means: pd.DataFrame, sums: pd.DataFrame) -> pd.DataFrame:
    """The means, and WQL and coverage from the sums of their parts; missing where there is nothing to share."""
    size = sums["size"].where(sums["size"] > 0)
    return means.assign(wql=sums["loss"] / size, coverage80=sums["inside"] / sums["observed"])
