"""The artifacts of a run, and how they are read back."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import yaml

from forecast.errors import ParameterError, Problem
from pipelines.evaluation import Scores
from pipelines.settings import TrainConfig, as_tree
from pipelines.tracking import registry_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

# The settings, complete and as they were asked for, and what came of them.
CONFIG, ASKED = "config.yaml", "asked.yaml"
LEADERBOARD, WINDOWS, PICTURES = "leaderboard.csv", "backtest/windows.parquet", "pictures.html"
INSPECTION = "inspection"  # a folder: what was seen inside the judged model


def recorded(client: "MlflowClient", run_id: str, path: str = CONFIG) -> tuple[dict[str, str], TrainConfig]:
    """The tags of a training run, and its settings: complete, or those of another artifact.

    Raises:
        ParameterError: There is no such run, or it is none of `forecast train`.
        RegistryUnavailable: The tracking store does not answer.
    """
    with registry_errors(run=run_id), tempfile.TemporaryDirectory() as folder:
        tags = dict(client.get_run(run_id).data.tags)
        if not [one for one in client.list_artifacts(run_id) if one.path == path]:
            problem = Problem(f"run {run_id} holds no {path}", "name a run of `forecast train`", field="resume")
            raise ParameterError(problem)
        text = Path(client.download_artifacts(run_id, path, folder)).read_text(encoding="utf-8")
    return tags, TrainConfig.build(**as_tree(yaml.safe_load(text)))


def recorded_leaderboard(client: "MlflowClient", run_id: str) -> Scores:
    """The leaderboard that `log_result` wrote."""
    with registry_errors(), tempfile.TemporaryDirectory() as folder:
        frame = pd.read_csv(client.download_artifacts(run_id, LEADERBOARD, folder), index_col="model")
    return {str(name): {str(key): float(row[key]) for key in row.index} for name, row in frame.iterrows()}


def recorded_errors(client: "MlflowClient", run_id: str) -> pd.DataFrame:
    """Everyone's errors in each window, as `log_result` wrote them."""
    with registry_errors(), tempfile.TemporaryDirectory() as folder:
        return pd.read_parquet(client.download_artifacts(run_id, WINDOWS, folder))
