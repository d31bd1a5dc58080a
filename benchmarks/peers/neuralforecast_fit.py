"""Train a neuralforecast model, and say on standard output how long it took. Runs in the peers' environment.

The last line printed is JSON: `seconds` of the whole fit, and for each gradient step when it `started` and
how many `windows` passed through it. With --forecasts the forecasts are written as well.
"""

import argparse
import json
import time
from typing import Any

import pandas as pd
import torch
from neuralforecast import NeuralForecast
from neuralforecast.models import LSTM, MLP, NHITS

MODELS = {"LSTM": LSTM, "MLP": MLP, "NHITS": NHITS}
QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=sorted(MODELS))
    parser.add_argument("data", help="long table to train on, Parquet")
    parser.add_argument("settings", type=json.loads, help="the model's arguments, JSON")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--forecasts", help="where to write item_id, timestamp, forecast, Parquet")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    frame = pd.read_parquet(arguments.data).rename(columns={"item_id": "unique_id", "timestamp": "ds", "target": "y"})

    started: list[float] = []
    windows: list[int] = []

    def note(module: torch.nn.Module, inputs: tuple[dict[str, Any], ...]) -> None:
        """At each step's forward pass; a callback would not do, for the library trains a copy of the model."""
        if module.training:
            started.append(time.perf_counter())
            windows.append(len(inputs[0]["insample_y"]))

    model = MODELS[arguments.model](accelerator="cpu", **QUIET, **arguments.settings)
    model.register_forward_pre_hook(note)
    forecaster = NeuralForecast(models=[model], freq="h")
    begin = time.perf_counter()
    forecaster.fit(frame)
    seconds = time.perf_counter() - begin
    if arguments.forecasts:
        forecasts = forecaster.predict().rename(columns={"unique_id": "item_id", "ds": "timestamp"})
        forecasts = forecasts.rename(columns={arguments.model: "forecast"})
        forecasts[["item_id", "timestamp", "forecast"]].to_parquet(arguments.forecasts, index=False)
    print(json.dumps({"seconds": seconds, "started": started, "windows": windows}))


if __name__ == "__main__":
    main()
