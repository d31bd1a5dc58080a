"""Where series come from: a Parquet or CSV file."""

from forecast.config import CovariatesConfig
from forecast.series import read_series
from forecast.table import SeriesTable
from pipelines.settings import DataConfig


def read_data(config: DataConfig, covariates: CovariatesConfig) -> SeriesTable:
    """Read the series that a configuration names.

    Raises:
        DataError: They cannot be used; says what, where and what to do.
    """
    names = {"item_id": config.item_id, "timestamp": config.timestamp, "target": config.target}
    return read_series(config.path, freq=config.freq, covariates=covariates, **names)
