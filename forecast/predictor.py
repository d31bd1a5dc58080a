"""What every model can do, neural or not: forecast a table of series."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecast.config import LONGEST_HORIZON, CovariatesConfig
from forecast.errors import PROBLEMS_TOLD, DataError, DataWarning, ParameterError, Problem
from forecast.future import read_future
from forecast.series import read_series
from forecast.table import SeriesTable

DEFAULT_LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

SERIES_AT_ONCE = 512  # what they need stays in the processor's cache

Data = SeriesTable | pd.DataFrame | pd.Series | str | Path


class Predictor(ABC):
    """A model that forecasts series it may never have seen.

    Attributes:
        prediction_length: Steps forecast when not told otherwise: for a network those it was trained for.
        longest_horizon: Steps forecast at the most.
        context_length: Steps of history looked at.
        minimum_history: Steps of history a series must have.
        covariates: The columns read beside the target.
    """

    prediction_length: int
    longest_horizon: int = LONGEST_HORIZON
    context_length: int
    minimum_history: int
    covariates: CovariatesConfig = CovariatesConfig()

    @abstractmethod
    def forecast(
        self, table: SeriesTable, prediction_length: int, quantile_levels: Sequence[float]
    ) -> npt.NDArray[np.float32]:
        """Forecast every series from its end, as arrays.

        Args:
            table: N series.
            prediction_length: Steps H.
            quantile_levels: R levels in (0, 1).

        Returns:
            `(N, H, 1 + R)`: the mean, then the quantiles.

        Raises:
            DataError: A series cannot be forecast.
            ParameterError: The horizon or a level is out of range.
        """

    def predict(
        self,
        series: Data,
        prediction_length: int | None = None,
        quantile_levels: Sequence[float] = DEFAULT_LEVELS,
        future: pd.DataFrame | str | Path | None = None,
    ) -> pd.DataFrame:
        """Forecast every series from its end, as a long frame.

        Args:
            series: A table, or anything `read_series` takes.
            prediction_length: Steps; as many as the model was trained for when left out.
            quantile_levels: Levels in (0, 1).
            future: The covariates known in advance, for the model that has some: a row for each series and
                step, with `item_id` and `timestamp` (see `read_future`).

        Returns:
            `item_id, timestamp, mean` and a column for each level, named "0.1", ...; the rows of a series
            together and in time's order. Timestamps go on right after the last one sent.

        Raises:
            DataError: A series cannot be used or forecast, or `future` lacks something.
            ParameterError: The horizon or a level is out of range, or the model has no use for `future`.
        """
        table = series if isinstance(series, SeriesTable) else read_series(series, covariates=self.covariates)
        if future is not None:
            table = read_future(future, table, self.covariates)
        horizon = self.prediction_length if prediction_length is None else prediction_length
        forecast = self.forecast(table, horizon, quantile_levels)
        caution = self.caution(horizon)
        if caution is not None:
            warnings.warn(caution, DataWarning, stacklevel=2)
        return forecast_frame(table, forecast, quantile_levels)

    def caution(self, prediction_length: int) -> str | None:
        """What a reader of a forecast this long should know."""
        if self.longest_horizon == LONGEST_HORIZON or prediction_length <= self.prediction_length:
            return None
        return (
            f"{prediction_length} steps are forecast by a model trained for {self.prediction_length}: from step "
            f"{self.prediction_length + 1} on it goes on from its own forecasts, and errors add up"
        )

    def usable(self, table: SeriesTable) -> npt.NDArray[np.bool_]:
        """`(N,)` which series have history enough, with at least one value in the model's context."""
        if table.observed.all():  # so it is with most series
            return table.lengths >= self.minimum_history
        recent = table.keep_last(self.context_length)
        return (table.lengths >= self.minimum_history) & (recent.missing() < recent.lengths)

    def check_usable(self, table: SeriesTable) -> None:
        """Refuse series without enough history.

        Raises:
            DataError: Names those that are too short ("series-too-short"), or where none is, those without a recent
                value ("all-missing").
        """
        refused = np.flatnonzero(~self.usable(table))
        if not len(refused):
            return
        short = refused[table.lengths[refused] < self.minimum_history]
        problems = []
        for i in (short if len(short) else refused)[:PROBLEMS_TOLD]:
            item_id = str(table.item_ids[i])
            if len(short):
                steps = f"{table.lengths[i]} value{'s' if table.lengths[i] > 1 else ''}"
                detail = f"{item_id!r} has {steps}; this model needs at least {self.minimum_history}"
                problems.append(Problem(detail, "send more history", item_id, "target"))
            else:
                detail = f"{item_id!r} has no value in its last {self.context_length} steps, all this model looks at"
                problems.append(Problem(detail, "send the series up to its last value", item_id, "target"))
        raise DataError("series-too-short" if len(short) else "all-missing", problems)


def check_horizon(prediction_length: int, longest: int = LONGEST_HORIZON) -> None:
    """Refuse a horizon outside 1 to `longest`.

    Raises:
        ParameterError: Says what was asked and what is possible.
    """
    if not (isinstance(prediction_length, Integral) and 1 <= prediction_length <= longest):
        raise ParameterError(
            Problem(
                f"prediction_length={prediction_length} is out of range",
                f"ask for 1 to {longest} steps" + (", or train a model for more" if longest < LONGEST_HORIZON else ""),
                field="prediction_length",
            )
        )


def forecast_frame(
    table: SeriesTable, forecast: npt.NDArray[np.float32], quantile_levels: Sequence[float]
) -> pd.DataFrame:
    """Arrays `(N, H, 1 + R)` as the long frame of `Predictor.predict`."""
    series, horizon = forecast.shape[:2]
    positions = table.lengths[:, None] + np.arange(horizon)
    columns: dict[str, object] = {
        "item_id": np.repeat(table.item_ids, horizon),
        "timestamp": table.timestamps(table.times(positions)),
    }
    names = ["mean", *(str(level) for level in quantile_levels)]
    flat = forecast.reshape(series * horizon, -1).astype(np.float64)
    return pd.DataFrame({**columns, **{name: flat[:, k] for k, name in enumerate(names)}})
