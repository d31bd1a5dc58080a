"""Forecasting a file with a saved model."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from forecast.errors import ParameterError, Problem
from forecast.forecaster import Forecaster
from forecast.table import SeriesTable

WRITERS = (".parquet", ".csv")


def check_output(path: Path) -> None:
    """Refuse a file name that forecasts cannot be written to, before any work is done.

    Raises:
        ParameterError: The suffix is unknown or the folder is not there.
    """
    if path.suffix.lower() not in WRITERS:
        raise ParameterError(
            Problem(f"--output {str(path)!r} is neither .parquet nor .csv", "choose one of them", field="output")
        )
    if not path.resolve().parent.is_dir():
        raise ParameterError(
            Problem(f"--output: there is no folder {str(path.resolve().parent)!r}", "create it", field="output")
        )


def predict(
    model: Forecaster, table: SeriesTable, output: Path, prediction_length: int | None, quantile_levels: Sequence[float]
) -> pd.DataFrame:
    """Forecast every series and write `item_id, timestamp, mean, 0.1, ...`; the file appears whole or not at all.

    Raises:
        DataError: A series cannot be forecast, or lacks a covariate.
        ParameterError: The horizon, a level or the output is out of range.
    """
    check_output(output)
    frame = model.predict(table, prediction_length, quantile_levels)
    draft = output.with_name(f".{output.name}.part")
    try:
        if output.suffix.lower() == ".parquet":
            frame.to_parquet(draft, index=False)
        else:
            frame.to_csv(draft, index=False)
        draft.replace(output)
    finally:
        draft.unlink(missing_ok=True)
    return frame
