"""Options that several commands take, and how they are read."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from forecast.errors import ParameterError, Problem
from pipelines.cli.app import console

if TYPE_CHECKING:
    from forecast.config import CovariatesConfig
    from forecast.table import SeriesTable
    from pipelines.settings import DataConfig

DATA_HELP = (
    "A long table (item_id, timestamp, target): a Parquet or CSV file, a folder, a glob, an fsspec address "
    "(s3://...), or a database (postgresql://USER@HOST/DATABASE) with --query."
)
Data = Annotated[str, typer.Option(help=DATA_HELP)]
ItemId = Annotated[str | None, typer.Option(help="Column of the series' names, where it is another.")]
Timestamp = Annotated[str | None, typer.Option(help="Column of the times, where it is another.")]
Query = Annotated[str | None, typer.Option(help="What is read from a database: SQL, or a table's name.")]
Target = Annotated[str | None, typer.Option(help="Column of the values, where it is another.")]
Freq = Annotated[str | None, typer.Option(help="pandas' alias of the frequency (h, D, W, MS, ...); found by default.")]
Model = Annotated[str, typer.Option(help="NAME@champion, NAME/3, models:/... or a folder.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A setting, as often as needed; `forecast settings` lists them."),
]


def read(config: "DataConfig", covariates: "CovariatesConfig") -> "SeriesTable":
    """Read the series a command works on, and say what they are."""
    from pipelines.data.read import read_data

    console.print(f"reading {escape(config.address)}")
    table = read_data(config, covariates)
    console.print(f"{len(table)} series, {int(table.observed.sum())} values, one every {table.frequency}")
    return table


def gather(recipe: str, network: str | None, options: dict[str, Any], overrides: list[str] | None) -> dict[str, Any]:
    """The settings a command works with, as a tree: a recipe's, under those of options, under those of `--set`.

    Args:
        recipe: Its name or path.
        network: One network in place of the recipe's ensemble.
        options: Settings by their paths; None where an option was not given.
        overrides: `key=value`, as `--set` takes them.
    """
    from pipelines.recipes import load_recipe
    from pipelines.settings import apply_overrides, put

    settings = {"recipe": recipe, **load_recipe(recipe)}
    if network is not None:
        put(settings, "network.kind", network)
        put(settings, "members", [])
    for key, value in options.items():
        if value is not None:
            put(settings, key, value)
    return apply_overrides(settings, overrides or [])


def split(names: str | None) -> list[str] | None:
    """Names separated by commas."""
    return None if names is None else [name.strip() for name in names.split(",")]


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
