"""forecast inspect: a look inside a saved model and one of its forecasts."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from forecast.errors import ParameterError, Problem
from pipelines.cli.app import app, console
from pipelines.cli.options import Data, Freq, ItemId, Model, Query, Target, Timestamp, read

if TYPE_CHECKING:
    from forecast.table import SeriesTable


@app.command()
def inspect(
    model: Model,
    data: Data,
    item: Annotated[
        str | None, typer.Option(help="The series whose forecast is explained; the first one by default.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="The folder to write: report.html, summary.json and the tables as Parquet.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Train as well, to see other learning rates and optimizers: takes minutes.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary, and nothing else.")] = False,
    query: Query = None,
    item_id: ItemId = None,
    timestamp: Timestamp = None,
    target: Target = None,
    freq: Freq = None,
) -> None:
    """Look inside a model: layers, gates, gradients, and what a forecast rests on; say what is wrong."""
    if output is None and not as_json:
        problem = Problem("neither --output nor --json is given", "say --output DIR, --json or both", field="output")
        raise ParameterError(problem)
    from pipelines.folder import check_output, new_folder

    if output is not None:
        check_output(output)
    from pipelines.inspection import HEALTHY, REPORT, in_words, look, write_report
    from pipelines.registry import load
    from pipelines.settings import DataConfig

    console.stderr = as_json  # standard output is the summary's alone
    loaded = load(model)
    source = DataConfig.build(path=data, query=query, item_id=item_id, timestamp=timestamp, target=target, freq=freq)
    table = read(source, loaded.forecaster.covariates)
    seen = look(loaded.forecaster, table, 0 if item is None else _place(table, item), full=full)
    if output is not None:
        with new_folder(output) as draft:
            write_report(draft, f"Inside {model}", seen, table.frequency)
        console.print(f"written: {escape(str(output / REPORT))}")
    for sentence in [in_words(finding) for finding in seen.findings] or [HEALTHY]:
        console.print(escape(sentence), highlight=False)
    if as_json:
        typer.echo(json.dumps(seen.summary(), indent=1, allow_nan=False))


def _place(table: "SeriesTable", item: str) -> int:
    """Where a series stands in the table.

    Raises:
        ParameterError: There is none of that name.
    """
    from forecast.config import nearest

    names = [str(name) for name in table.item_ids]
    if item not in names:
        hint = nearest(item, names, f"there are {len(names)}, of which the first is {names[0]!r}")
        raise ParameterError(Problem(f"there is no series {item!r}", hint, field="item"))
    return names.index(item)
