"""Time-series forecasting that you can see inside: pandas in, forecasts with uncertainty out.

The names below are imported when first used, so that `import forecast` loads neither torch nor pandas:
a command line's help, or a client, needs neither.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forecast.baselines import SeasonalNaive
    from forecast.config import CovariatesConfig, ForecasterConfig, NetworkConfig, TrainingConfig
    from forecast.forecaster import Forecaster
    from forecast.future import read_future
    from forecast.lr_range import learning_rate_range_test
    from forecast.series import read_series
    from forecast.statistical import AutoETS, AutoTheta
    from forecast.table import SeriesTable

__version__ = "0.1.0"

__all__ = [
    "AutoETS",
    "AutoTheta",
    "CovariatesConfig",
    "Forecaster",
    "ForecasterConfig",
    "NetworkConfig",
    "SeasonalNaive",
    "SeriesTable",
    "TrainingConfig",
    "learning_rate_range_test",
    "read_future",
    "read_series",
]

_HOMES = {
    "AutoETS": "statistical",
    "AutoTheta": "statistical",
    "CovariatesConfig": "config",
    "Forecaster": "forecaster",
    "ForecasterConfig": "config",
    "NetworkConfig": "config",
    "SeasonalNaive": "baselines",
    "SeriesTable": "table",
    "TrainingConfig": "config",
    "learning_rate_range_test": "lr_range",
    "read_future": "future",
    "read_series": "series",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
