"""The series of a run as MLflow's datasets: name, digest, columns and span, without copying a value."""

import json
from pathlib import PurePath
from typing import TYPE_CHECKING

from forecast.table import SeriesTable
from pipelines.record.origin import data_digest, time_span
from pipelines.settings import DataConfig

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Dataset

DIGEST = 36  # characters that MLflow keeps


def log_datasets(client: "MlflowClient", run_id: str, data: DataConfig, **tables: SeriesTable) -> None:
    """Log what a run worked on as its inputs.

    Args:
        client: MLflow's client.
        run_id: The run.
        data: Where the series come from.
        tables: The series, by what they were for: `training`, `evaluation`.
    """
    from mlflow.entities import DatasetInput, InputTag

    inputs = [
        DatasetInput(dataset(data, table), [InputTag("mlflow.data.context", context)])
        for context, table in tables.items()
    ]
    client.log_inputs(run_id, inputs)


def dataset(data: DataConfig, table: SeriesTable) -> "Dataset":
    """One table as MLflow knows it; its digest is the beginning of `data_digest`."""
    from mlflow.entities import Dataset

    path = data.address
    start, end = time_span(table)
    profile = {
        "num_rows": int(table.lengths.sum()),
        "series": len(table),
        "missing": int(table.missing().sum()),
        "start": start,
        "end": end,
        "frequency": table.frequency.alias,
    }
    return Dataset(
        name=PurePath(path).name or path,
        digest=data_digest(table)[:DIGEST],
        source_type="local",
        source=json.dumps({"uri": path}),
        schema=json.dumps({"mlflow_colspec": _columns(data, table)}),
        profile=json.dumps(profile),
    )


def _columns(data: DataConfig, table: SeriesTable) -> list[dict[str, object]]:
    """The columns read, as MLflow writes a schema."""
    from mlflow.types import ColSpec

    time = "datetime" if table.starts.dtype.kind == "M" else "long"
    columns = [
        ColSpec("string", data.item_id or "item_id"),
        ColSpec(time, data.timestamp or "timestamp"),
        ColSpec("double", data.target or "target"),
    ]
    if (beside := table.covariates) is not None:
        kinds = {name: "string" if name in beside.categories else "double" for name in beside.names.all}
        columns += [ColSpec(kind, name, required=False) for name, kind in kinds.items()]
    return [column.to_dict() for column in columns]
