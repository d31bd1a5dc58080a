"""What a search leaves in the tracking store: a run for it, and one below that for each trial."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from forecast.table import SeriesTable
from pipelines.record import describe, log_datasets
from pipelines.record.note import NOTE
from pipelines.settings import TrainConfig
from pipelines.tracking import experiment_id, registry_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from pipelines.tune.space import Declared, Value
    from pipelines.tune.trial import Outcome

PARENT = "mlflow.parentRunId"
ENDS = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}


class Runs:
    """The run of a search and those of its trials.

    Args:
        client: MLflow's client.
        config: What the search starts from.
        table: The series.
        space: What is searched.
        run_id: The run to go on with, where there is one.
    """

    def __init__(
        self,
        client: "MlflowClient",
        config: TrainConfig,
        table: SeriesTable,
        space: "Mapping[str, Declared]",
        run_id: str | None,
    ) -> None:
        self.client = client
        with registry_errors():
            self.experiment = experiment_id(client, config.name)
            if run_id is not None and self._is_there(run_id):
                self.run_id = run_id
                client.update_run(run_id, status="RUNNING")
                self._end_left_behind()
            else:
                self.run_id = self._create(config, table, space)

    def start_trial(self, number: int, values: "Mapping[str, Value]") -> str:
        """A run for one trial, with the settings that the search varies; its id."""
        from mlflow.entities import Param

        tags = {PARENT: self.run_id, "task": "trial", "mlflow.source.name": "forecast tune"}
        with registry_errors():
            run = self.client.create_run(self.experiment, tags=tags, run_name=f"trial {number:03d}")
            params = [Param(key, "left to the data" if value is None else str(value)) for key, value in values.items()]
            self.client.log_batch(run.info.run_id, params=params)
        return str(run.info.run_id)

    def end_trial(self, run_id: str, outcome: "Outcome") -> None:
        """How a trial ended."""
        from mlflow.entities import Metric, RunTag

        now = int(time.time() * 1000)
        metrics = [Metric(f"search/{name}", value, now, 0) for name, value in outcome.metrics.items()]
        tags = [RunTag("state", outcome.state), *([RunTag("reason", outcome.reason)] if outcome.reason else [])]
        with registry_errors():
            self.client.log_batch(run_id, metrics=metrics, tags=tags)
            self.client.set_terminated(run_id, ENDS[outcome.state])

    def log_best(self, trials: int, metric: str, error: float) -> None:
        """The least error after so many trials: a point of the search's curve."""
        with registry_errors():
            self.client.log_metric(self.run_id, f"search/best {metric}", error, step=trials)

    def log_result(self, tags: Mapping[str, str], note: str, recipe: str, report: Path) -> None:
        """What the search found: the best settings as tags and as a recipe, in words and in pictures."""
        from mlflow.entities import RunTag

        with registry_errors():
            everything = {**tags, NOTE: note}
            self.client.log_batch(self.run_id, tags=[RunTag(key, value[:5000]) for key, value in everything.items()])
            self.client.log_text(self.run_id, recipe, "best.yaml")
            self.client.log_artifact(self.run_id, str(report))

    def end(self, status: str) -> None:
        """End the search's run, and those of trials that did not come to an end."""
        with registry_errors():
            self._end_left_behind()
            self.client.set_terminated(self.run_id, status)

    def _create(self, config: TrainConfig, table: SeriesTable, space: "Mapping[str, Declared]") -> str:
        run = self.client.create_run(self.experiment, run_name=f"tune {config.forecaster.label}")
        run_id = str(run.info.run_id)
        describe(self.client, run_id, config, table)
        log_datasets(self.client, run_id, config.data, training=table)
        for key, value in (("task", "tune"), ("mlflow.source.name", "forecast tune")):
            self.client.set_tag(run_id, key, value)
        written = {key: one.model_dump(mode="json", exclude_defaults=True) for key, one in space.items()}
        self.client.log_text(run_id, yaml.safe_dump(written, sort_keys=False), "space.yaml")
        return run_id

    def _is_there(self, run_id: str) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            return bool(self.client.get_run(run_id).info.lifecycle_stage == "active")
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise

    def _end_left_behind(self) -> None:
        """End the trials' runs that nothing works on any more."""
        wanted = f"tags.`{PARENT}` = '{self.run_id}' and attributes.status = 'RUNNING'"
        for run in self.client.search_runs([self.experiment], wanted):
            self.client.set_tag(run.info.run_id, "state", "stopped")
            self.client.set_terminated(run.info.run_id, "KILLED")
