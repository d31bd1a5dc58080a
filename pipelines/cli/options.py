"""Options that several commands take, and how they are read."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from forecast.errors import ParameterError, Problem
from pipelines.cli.app import console

if TYPE_CHECKING:
    from forecast.config import CovariatesConfig
    from forecast.table import SeriesTable
    from pipelines.settings import DataConfig

DATA_HELP = "A Parquet or CSV file with a long table: item_id, timestamp, target."
Data = Annotated[str, typer.Option(help=DATA_HELP)]
ItemId = Annotated[str | None, typer.Option(help="Column of the series' names, where it is another.")]
Timestamp = Annotated[str | None, typer.Option(help="Column of the times, where it is another.")]
Target = Annotated[str | None, typer.Option(help="Column of the values, where it is another.")]
Freq = Annotated[str | None, typer.Option(help="pandas' alias of the frequency (h, D, W, MS, ...); found by default.")]
Model = Annotated[str, typer.Option(help="NAME@champion, NAME/3, models:/... or a folder.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A setting, as often as needed; `forecast settings` lists them."),
]


def read(config: "DataConfig", covariates: "CovariatesConfig") -> "SeriesTable":
    """Read the series a command works on, and say what they are."""
    from pipelines.data import read_data

    console.print(f"reading {escape(config.path)}")
    table = read_data(config, covariates)
    console.print(f"{len(table)} series, {int(table.observed.sum())} values, one every {table.frequency}")
    return table


def read_levels(text: str) -> list[float]:
    """Levels separated by commas.

    Raises:
        ParameterError: They are not numbers.
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ParameterError(
            Problem(f"--quantile-levels {text!r} are not numbers", "write 0.1,0.5,0.9", field="quantile_levels")
        ) from None
