"""Time-series forecasting that you can see inside: pandas in, forecasts with uncertainty out."""

from forecast.backtest import Backtest, backtest
from forecast.baselines import SeasonalNaive
from forecast.config import ForecasterConfig, NetworkConfig, TrainingConfig
from forecast.forecaster import Forecaster
from forecast.series import read_series
from forecast.table import SeriesTable

__version__ = "0.1.0"

__all__ = [
    "Backtest",
    "Forecaster",
    "ForecasterConfig",
    "NetworkConfig",
    "SeasonalNaive",
    "SeriesTable",
    "TrainingConfig",
    "backtest",
    "read_series",
]
