"""Scripts that run in the peers' own environment, and how they are called from ours."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import torch


class Peer(NamedTuple):
    """The peers' environment.

    Attributes:
        python: Its interpreter.
        data: The long table (Parquet) that is trained on.
    """

    python: Path
    data: Path

    def fit(self, model: str, settings: dict[str, Any], forecasts: Path | None = None) -> dict[str, Any]:
        """Train a neuralforecast model in a process of its own, with as many threads as ours.

        Args:
            model: "LSTM", "MLP" or "NHITS".
            settings: The model's arguments.
            forecasts: Where to write its forecasts.

        Returns:
            `seconds` of the fit, and `started` and `windows` of each gradient step.
        """
        script, threads = Path(__file__).with_name("neuralforecast_fit.py"), str(torch.get_num_threads())
        command = [str(self.python), str(script), model, str(self.data), json.dumps(settings), "--threads", threads]
        if forecasts:
            command += ["--forecasts", str(forecasts)]
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            raise RuntimeError(f"{model} failed:\n{done.stderr}")
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result
