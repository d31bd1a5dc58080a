"""The saved model as MLflow's pyfunc flavour sees it: a loader, and frames in and out.

Named as `loader_module` when a model is logged, so that `mlflow models serve` and
`mlflow.pyfunc.load_model` use the very same forecaster. Imports nothing of MLflow.
"""

from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from forecast.columns import Names, read_columns
from forecast.covariates import CovariateNames
from forecast.errors import ModelDamaged, Problem
from forecast.forecaster import Forecaster
from forecast.predictor import DEFAULT_LEVELS
from forecast.series import lay_out, warn_of_missing


class ForecastFunction:
    """A forecaster behind MLflow's `predict(model_input, params)`."""

    def __init__(self, model: Forecaster) -> None:
        self.model = model

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Forecast.

        Args:
            model_input: `item_id, timestamp, target`, and the model's covariates. For a model with covariates
                known in advance, a series' rows after its last target are the steps to forecast.
            params: `prediction_length` (0 or left out: as trained) and `quantile_levels`.

        Returns:
            `item_id, timestamp, mean` and a column per level.
        """
        given = params or {}
        horizon = int(given.get("prediction_length") or self.model.prediction_length)
        levels = [float(level) for level in (given.get("quantile_levels") or DEFAULT_LEVELS)]
        covariates = self.model.covariates
        table = lay_out(read_columns(model_input, Names(covariates=CovariateNames.of(covariates))))
        if covariates.known:
            table = table.drop_last_missing()
        warn_of_missing(table)
        return self.model.predict(table, horizon, levels)


def _load_pyfunc(data_path: str) -> ForecastFunction:
    """Called by MLflow with the folder the model was saved to."""
    return ForecastFunction(Forecaster.load(data_path))


def saved_folder(files: str | Path) -> Path:
    """Where in a downloaded MLflow model the forecaster's own folder lies.

    Raises:
        ModelDamaged: The files are not a model that this library logged.
    """
    root = Path(files).resolve()
    try:
        flavor = yaml.safe_load((root / "MLmodel").read_text(encoding="utf-8"))["flavors"]["python_function"]
        loader, folder = flavor["loader_module"], (root / str(flavor["data"])).resolve()
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise ModelDamaged(
            Problem("the registered model has no MLmodel file that can be read", "register it again")
        ) from error
    if loader != __name__ or not folder.is_relative_to(root):
        raise ModelDamaged(
            Problem(
                f"the registered model is loaded by {loader!r}, not by {__name__!r}",
                "use a model that `forecast train` registered",
            )
        )
    return folder
