"""What the peers' own apps have in common: the model, and a request's way into pandas and out of it.

They do what one does who puts the saved model behind a server: a body becomes a frame, `predict` forecasts it, its
columns are the answer. A server that batches forecasts its batch in one call. Runs in both environments.
"""

import os
from typing import Any

import pandas as pd
import torch

from forecast import Forecaster

LEVELS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
HORIZON = 48


def load() -> Forecaster:
    """The model of the folder that BENCHMARK_MODEL names, with one thread as ours has."""
    torch.set_num_threads(1)
    return Forecaster.load(os.environ["BENCHMARK_MODEL"])


def forecast(model: Forecaster, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Answer bodies `{"start", "target"}` together."""
    frames = [
        pd.DataFrame(
            {
                "item_id": str(number),
                "timestamp": pd.date_range(request["start"], periods=len(request["target"]), freq="h"),
                "target": request["target"],
            }
        )
        for number, request in enumerate(requests)
    ]
    found = model.predict(pd.concat(frames), HORIZON, LEVELS)
    answers = []
    for first in range(0, len(found), HORIZON):
        one = found.iloc[first : first + HORIZON]
        answers.append(
            {
                "timestamps": one["timestamp"].astype(str).tolist(),
                "mean": one["mean"].tolist(),
                "quantiles": {str(level): one[str(level)].tolist() for level in LEVELS},
            }
        )
    return answers
