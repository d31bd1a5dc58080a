"""What a run says about itself: what it was made from, how it was trained, and how good it is.

`origin` and `datasets` describe a run at its beginning, `curves` follows its losses, `result` writes what came
out, `note` puts that into words, and `files` reads it back.
"""

from pipelines.record.curves import RunMetrics, complete
from pipelines.record.datasets import log_datasets
from pipelines.record.files import ASKED, recorded, recorded_errors, recorded_leaderboard
from pipelines.record.origin import data_digest, describe
from pipelines.record.result import Outcome, log_result, window_errors

__all__ = [
    "ASKED",
    "Outcome",
    "RunMetrics",
    "complete",
    "data_digest",
    "describe",
    "log_datasets",
    "log_result",
    "recorded",
    "recorded_errors",
    "recorded_leaderboard",
    "window_errors",
]
