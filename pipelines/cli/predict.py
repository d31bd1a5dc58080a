"""forecast predict: every series of a table, however large."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from pipelines.cli.app import app, complaints, console
from pipelines.cli.options import Data, Freq, ItemId, Model, Query, Target, Timestamp, read_levels


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
    rejects: Annotated[
        Path | None,
        typer.Option(
            help="The file to write of series that cannot be forecast, and why; OUTPUT.rejects.parquet by default."
        ),
    ] = None,
    max_rejected: Annotated[
        float, typer.Option(help="Share of the series, 0 to 1, that may be rejected; with more nothing is written.")
    ] = 1.0,
    query: Query = None,
    item_id: ItemId = None,
    timestamp: Timestamp = None,
    target: Target = None,
    freq: Freq = None,
) -> None:
    """Forecast every series of a table: streamed, several pieces at once; started again, it goes on."""
    from forecast.columns import Names
    from pipelines import predict as pipeline
    from pipelines.data.address import is_database
    from pipelines.data.read import read_frame
    from pipelines.registry import load
    from pipelines.settings import DataConfig

    levels = read_levels(quantile_levels)
    pipeline.check_output(output)
    loaded = load(model)
    source = DataConfig.build(path=data, query=query, item_id=item_id, timestamp=timestamp, target=target)
    console.print(f"reading {escape(source.address)}")
    at_once = query is not None or is_database(data)
    try:
        summary = pipeline.predict(
            loaded.forecaster,
            read_frame(source, loaded.forecaster.covariates) if at_once else data,
            output,
            prediction_length=prediction_length,
            quantile_levels=levels,
            future=future,
            columns=Names(item_id, timestamp, target),
            freq=freq,
            rejects=rejects,
            max_rejected=max_rejected,
            console=console,
        )
    except KeyboardInterrupt:
        complaints.print("stopped; the same command goes on where it stopped")
        raise typer.Exit(130) from None
    version = f" version {loaded.version}" if loaded.version else ""
    forecast = summary.series - summary.rejected
    console.print(
        f"{summary.rows} rows for {forecast} series written to {escape(str(output))} by {escape(model)}{version}"
    )
    if summary.rejected:
        complaints.print(f"[yellow]note:[/] {escape(str(summary))}", highlight=False)
