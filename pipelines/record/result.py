"""What a training came to: figures, tables, pictures and words."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from forecast import Forecaster
from forecast.backtest import Backtest
from pipelines.evaluation import THIS, Scores, best_baseline
from pipelines.inspection import Seen, in_words, write_report
from pipelines.pictures import judged, learning_curves, write_page
from pipelines.record.datasets import dataset
from pipelines.record.files import INSPECTION, LEADERBOARD, PICTURES, WINDOWS
from pipelines.record.note import NOTE, training_note
from pipelines.settings import TrainConfig

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Outcome:
    """What came out of a training.

    Attributes:
        judged: The model that was judged, with its history.
        leaderboard: Everyone's metrics on the windows it was judged on.
        result: The forecasts that it was judged by.
        seen: What was seen inside of it; None where nobody looked.
    """

    judged: Forecaster
    leaderboard: Scores
    result: Backtest
    seen: Seen | None = None


def log_result(client: "MlflowClient", run_id: str, config: TrainConfig, model_uri: str, outcome: Outcome) -> None:
    """How good the model is, next to the best naive baseline, in figures, tables, pictures and words.

    The metrics belong to the run, to the logged model and to the data it was judged on. The artifact
    `backtest/windows.parquet` holds everyone's errors in each window: what a later model can be compared with
    on the same windows, though this one has then learnt from them. What was seen inside is the folder
    `inspection`.

    Args:
        client: MLflow's client.
        run_id: The run.
        config: Its settings, complete.
        model_uri: The logged model, `models:/m-...`.
        outcome: What came out.
    """
    from mlflow.entities import Metric

    leaderboard, result = outcome.leaderboard, outcome.result
    naive, now = best_baseline(leaderboard), int(time.time() * 1000)
    data = dataset(config.data, result.table)
    place = {"model_id": model_uri.removeprefix("models:/"), "dataset_name": data.name, "dataset_digest": data.digest}
    mine = [Metric(f"backtest/{name}", value, now, 0, **place) for name, value in leaderboard[THIS].items()]
    theirs = [Metric(f"baseline/{name}", value, now, 0) for name, value in leaderboard[naive].items()]
    client.log_batch(run_id, metrics=[*mine, *theirs])
    client.log_text(run_id, pd.DataFrame(leaderboard).T.to_csv(index_label="model"), LEADERBOARD)
    with tempfile.TemporaryDirectory() as folder:
        windows, page = Path(folder) / WINDOWS, Path(folder) / PICTURES
        windows.parent.mkdir()
        window_errors(result).to_parquet(windows)
        labels = [one.network.kind for one in outcome.judged.config.networks]
        curves = learning_curves(outcome.judged.history, labels)
        pictures = [*judged(result, THIS, naive), curves]
        write_page(page, f"{config.forecaster.label} for {config.name}", pictures)
        if seen := outcome.seen:
            title = f"Inside {config.forecaster.label} for {config.name}"
            write_report(Path(folder) / INSPECTION, title, seen, result.table.frequency)
            client.log_batch(run_id, metrics=[Metric(name, value, now, 0) for name, value in seen.scalars().items()])
        client.log_artifacts(run_id, folder)
    findings = [in_words(finding) for finding in seen.findings] if seen else None
    client.set_tag(run_id, NOTE, training_note(config, outcome.leaderboard, result, pictures, findings))


def window_errors(result: Backtest) -> pd.DataFrame:
    """Everyone's errors in each window: `model, horizon` and the columns of `Backtest.per_window`."""
    horizon = result.actual.shape[1]
    frames = [result.per_window(model).assign(model=model, horizon=horizon) for model in result.forecasts]
    return pd.concat(frames, ignore_index=True)
