"""Forecasting tables of any size with a saved model, a few thousand series at a time.

From the call down: `bulk.py` runs it all, `pieces.py` cuts a table (`rows.py`) into pieces of whole series, `job.py`
forecasts one of them on the `clock.py` that all share, `journal.py` keeps what is finished.
"""

from pipelines.predict.bulk import Summary, predict
from pipelines.predict.output import check_output

__all__ = ["Summary", "check_output", "predict"]
