"""The command line: `forecast train | predict | serve | ui | recipes | settings | demo`.

Commands import what they need when they run, so that help and mistakes answer at once. A caller's mistake
ends with exit code 2 and one message.
"""

import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from forecast.errors import DataWarning, ForecastError, ParameterError, Problem

if TYPE_CHECKING:
    from forecast.config import CovariatesConfig
    from forecast.table import SeriesTable

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Train, track, serve and understand time-series forecasts.",
)
console = Console(soft_wrap=True)
complaints = Console(stderr=True, soft_wrap=True)

Data = Annotated[Path, typer.Option(help="A Parquet or CSV file with a long table: item_id, timestamp, target.")]
ItemId = Annotated[str | None, typer.Option(help="Column of the series' names, where it is another.")]
Timestamp = Annotated[str | None, typer.Option(help="Column of the times, where it is another.")]
Target = Annotated[str | None, typer.Option(help="Column of the values, where it is another.")]
Freq = Annotated[str | None, typer.Option(help="pandas' alias of the frequency (h, D, W, MS, ...); found by default.")]
Model = Annotated[str, typer.Option(help="NAME@champion, NAME/3, models:/... or a folder.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A setting, as often as needed; `forecast settings` lists them."),
]


@app.command()
def train(
    data: Data,
    name: Annotated[str, typer.Option(help="Name of the registered model and of its experiment.")],
    prediction_length: Annotated[int | None, typer.Option(help="Steps to forecast; many a recipe says.")] = None,
    recipe: Annotated[str, typer.Option(help="A recipe's name (`forecast recipes`), or a .yaml file.")] = "auto",
    network: Annotated[
        str | None,
        typer.Option(help="One network, feedforward, cnn, rnn, gru or lstm, in place of the recipe's ensemble."),
    ] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Train no longer than this.")] = None,
    item_id: ItemId = None,
    timestamp: Timestamp = None,
    target: Target = None,
    freq: Freq = None,
    known: Annotated[str | None, typer.Option(help="Covariates known in advance: columns, by commas.")] = None,
    past: Annotated[str | None, typer.Option(help="Covariates known for the past only.")] = None,
    static: Annotated[str | None, typer.Option(help="Covariates that are one value for a series.")] = None,
    overrides: Overrides = None,
) -> None:
    """Train a model, judge it against naive forecasts, register it, and put it live if it is better."""
    from pipelines.recipes import load_recipe
    from pipelines.settings import TrainConfig, apply_overrides, put

    columns = {"item_id": item_id, "timestamp": timestamp, "target": target, "freq": freq}
    settings = {"name": name, "data": {"path": str(data), **columns}, "recipe": recipe, **load_recipe(recipe)}
    if network is not None:
        put(settings, "network.kind", network)
        put(settings, "members", [])
    for key, value in (("prediction_length", prediction_length), ("training.max_minutes", max_minutes)):
        if value is not None:
            put(settings, key, value)
    for kind, names in (("known", known), ("past", past), ("static", static)):
        if names is not None:
            put(settings, f"covariates.{kind}", [name.strip() for name in names.split(",")])
    config = TrainConfig.build(**apply_overrides(settings, overrides or []))
    table = _read(data, config.forecaster.covariates, **columns)
    from pipelines import train as pipeline
    from pipelines.evaluation import as_table

    run = pipeline.train(config, table, console)
    outcome = pipeline.publish(name, run)
    console.print(as_table(run.leaderboard))
    if outcome.promoted:
        console.print(f"[green]{name}/{outcome.version} is the champion[/]: {outcome.reason}")
    else:
        console.print(f"[yellow]{name}/{outcome.version} is registered, but not live[/]: {outcome.reason}")
    console.print(f"run {run.run_id}; look at it with: forecast ui")


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

    levels = _levels(quantile_levels)
    pipeline.check_output(output)
    loaded = load(model)
    covariates = loaded.forecaster.covariates
    table = _read(data, covariates, item_id=item_id, timestamp=timestamp, target=target, freq=freq)
    if future is not None:
        table = read_future(future, table, covariates, item_id=item_id, timestamp=timestamp)
    frame = pipeline.predict(loaded.forecaster, table, output, prediction_length, levels)
    version = f" version {loaded.version}" if loaded.version else ""
    console.print(
        f"{len(frame)} rows for {len(table)} series written to {escape(str(output))} by {escape(model)}{version}"
    )


@app.command()
def serve(
    model: Model,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8000,
) -> None:
    """Answer POST /v1/forecast with a registered model."""
    from forecast.reference import ModelReference
    from pipelines.tracking import tracking_uri

    ModelReference.parse(model)
    address = {"FORECAST_HOST": host, "FORECAST_PORT": str(port)}
    _become(
        [sys.executable, "-m", "service"], {"FORECAST_MODEL": model, "MLFLOW_TRACKING_URI": tracking_uri(), **address}
    )


@app.command()
def ui(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 5000,
) -> None:
    """Browse the runs and models of the embedded store in the MLflow UI."""
    from pipelines.tracking import connect, shown_uri, tracking_uri

    connect()
    if tracking_uri().startswith("http"):
        console.print(f"runs are tracked at {shown_uri()}: open that address in a browser")
        return
    console.print(f"open http://{host}:{port} in a browser; Ctrl-C ends it")
    words = ["server", "--backend-store-uri", tracking_uri(), "--host", host, "--port", str(port), "--workers", "1"]
    _become([sys.executable, "-m", "mlflow", *words], {})


@app.command()
def recipes(name: Annotated[str | None, typer.Argument(help="A recipe to show.")] = None) -> None:
    """List the recipes, or show one."""
    from pipelines.recipes import recipe_names, recipe_text

    if name is not None:
        console.print(recipe_text(name), markup=False, highlight=False, end="")
        return
    for known in recipe_names():
        about = recipe_text(known).splitlines()[0].lstrip("# ")
        console.print(f"[bold]{known}[/]  {escape(about)}", highlight=False)


@app.command()
def settings() -> None:
    """List every setting that `train --set` takes."""
    from pipelines.settings import setting_names

    for name, description in setting_names().items():
        console.print(f"[bold]{name}[/]  {escape(description)}", highlight=False)


@app.command()
def demo() -> None:
    """The whole way on bundled real data: train, track, register, serve, POST, show."""
    console.print("starting")  # the imports below take seconds
    from pipelines.demo import run

    run(console)


def main() -> None:
    """The console script: the commands, with mistakes as one message and exit code 2."""
    warnings.showwarning = _show_warning
    warnings.simplefilter("always", DataWarning)
    try:
        app()
    except ForecastError as error:
        complaints.print(f"[red]error:[/] {escape(str(error))}", highlight=False)
        raise SystemExit(2) from None


def _read(path: Path, covariates: "CovariatesConfig", **columns: str | None) -> "SeriesTable":
    from forecast.series import read_series

    console.print(f"reading {escape(str(path))}")
    table = read_series(path, covariates=covariates, **columns)
    console.print(f"{len(table)} series, {int(table.observed.sum())} values, one every {table.frequency}")
    return table


def _levels(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ParameterError(
            Problem(f"--quantile-levels {text!r} are not numbers", "write 0.1,0.5,0.9", field="quantile_levels")
        ) from None


def _become(command: list[str], settings: dict[str, str]) -> None:
    """Turn this process into another, which then gets its signals itself."""
    sys.stdout.flush()
    os.execve(command[0], command, {**os.environ, **settings})  # noqa: S606


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    """A warning about the data as one line; those of other libraries are theirs, not the caller's."""
    if issubclass(category, DataWarning):
        complaints.print(f"[yellow]note:[/] {escape(str(message))}", highlight=False)
