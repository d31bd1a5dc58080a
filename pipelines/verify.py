"""Checks a logged model the way a stranger would use it: python -m pipelines.verify models:/m-...

Run in a process of its own, so that nothing the training process holds can help the model along.
"""

import sys
import warnings

import pandas as pd


def main(model_uri: str) -> None:
    """Load the model directly and through MLflow's pyfunc, and compare their forecasts of the golden input.

    Exits with 1 and one line on standard error where the model is not what was trained.
    """
    warnings.simplefilter("ignore")
    from forecast.saved import golden_input, golden_table
    from pipelines.registry import example_frame, load

    try:
        forecaster = load(model_uri).forecaster  # connects, and checks the golden forecast
        import mlflow

        answer = mlflow.pyfunc.load_model(model_uri).predict(example_frame(forecaster))
        expected = forecaster.predict(golden_table(golden_input(forecaster.config), forecaster.config.covariates))
        pd.testing.assert_frame_equal(answer, expected, check_dtype=False)
    except Exception as error:  # whatever it is, the parent needs one line
        raise SystemExit(f"{type(error).__name__}: {error}") from None


if __name__ == "__main__":
    main(sys.argv[1])
