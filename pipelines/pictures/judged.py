"""What a backtest shows of one model next to others: forecasts, error by lead time, calibration, residuals."""

from forecast.backtest import Backtest
from pipelines.pictures.calibration import calibration
from pipelines.pictures.examples import examples
from pipelines.pictures.lead_time import by_lead_time
from pipelines.pictures.page import Picture
from pipelines.pictures.residuals import residuals


def judged(result: Backtest, model: str, baseline: str | None) -> list[Picture]:
    """The pictures of a model that was judged.

    Args:
        result: Everyone's forecasts.
        model: The one looked at.
        baseline: What it is held against; None where there is none.
    """
    return [
        examples(result, model, baseline),
        by_lead_time(result, model, baseline),
        calibration(result, model, baseline),
        residuals(result, model),
    ]
