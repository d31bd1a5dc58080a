"""forecast predict: every series of a file."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from pipelines.cli.app import app, console
from pipelines.cli.options import Data, Freq, ItemId, Model, Target, Timestamp, read, read_levels


@app.command()
def predict(
    model: Model,
    data: Data,
    output: Annotated[Path, typer.Option(help="The .parquet or .csv file to write.")],
    prediction_length: Annotated[int | None, typer.Option(help="Steps to forecast; as trained by default.")] = None,
    quantile_levels: Annotated[
        str, typer.Option(help="Levels, separated by commas.")
    ] = "0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9",
    future: Annotated[
        Path | None, typer.Option(help="A file of what is known in advance: item_id, timestamp and those covariates.")
    ] = None,
    item_id: ItemId = None,
    timestamp: Timestamp = None,
    target: Target = None,
    freq: Freq = None,
) -> None:
    """Forecast every series of a file."""
    from forecast import read_future
    from pipelines import predict as pipeline
    from pipelines.registry import load
    from pipelines.settings import DataConfig

    levels = read_levels(quantile_levels)
    pipeline.check_output(output)
    loaded = load(model)
    covariates = loaded.forecaster.covariates
    source = DataConfig.build(path=data, item_id=item_id, timestamp=timestamp, target=target, freq=freq)
    table = read(source, covariates)
    if future is not None:
        table = read_future(future, table, covariates, item_id=item_id, timestamp=timestamp)
    frame = pipeline.predict(loaded.forecaster, table, output, prediction_length, levels)
    version = f" version {loaded.version}" if loaded.version else ""
    console.print(
        f"{len(frame)} rows for {len(table)} series written to {escape(str(output))} by {escape(model)}{version}"
    )
