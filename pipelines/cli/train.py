"""forecast train: one model, trained, judged, registered, and live if it is better."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from forecast.errors import ParameterError, Problem
from pipelines.cli.app import app, console
from pipelines.cli.options import DATA_HELP, Freq, ItemId, Overrides, Query, Target, Timestamp, gather, read, split
from pipelines.cli.promote import say

if TYPE_CHECKING:
    from pipelines.settings import TrainConfig


@app.command()
def train(
    data: Annotated[str | None, typer.Option(help=DATA_HELP)] = None,
    name: Annotated[str | None, typer.Option(help="Name of the registered model and of its experiment.")] = None,
    prediction_length: Annotated[int | None, typer.Option(help="Steps to forecast; many a recipe says.")] = None,
    recipe: Annotated[
        str, typer.Option(help="A recipe's name (`forecast recipes`), a .yaml file, or the config.yaml of a run.")
    ] = "auto",
    network: Annotated[
        str | None,
        typer.Option(help="One network, feedforward, cnn, rnn, gru or lstm, in place of the recipe's ensemble."),
    ] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Train no longer than this.")] = None,
    query: Query = None,
    item_id: ItemId = None,
    timestamp: Timestamp = None,
    target: Target = None,
    freq: Freq = None,
    known: Annotated[str | None, typer.Option(help="Covariates known in advance: columns, by commas.")] = None,
    past: Annotated[str | None, typer.Option(help="Covariates known for the past only.")] = None,
    static: Annotated[str | None, typer.Option(help="Covariates that are one value for a series.")] = None,
    inspect: Annotated[
        str | None,
        typer.Option(help="The look inside: off, light (as by default), or full, which trains a little more for it."),
    ] = None,
    promote: Annotated[bool, typer.Option(help="Put the model live where it is better than what there is.")] = True,
    overrides: Overrides = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with a run that was cut off; takes no other option.")
    ] = None,
) -> None:
    """Train a model, judge it against naive forecasts, register it, and put it live if it is better."""
    options = {
        "data.path": data,
        "data.query": query,
        "data.item_id": item_id,
        "data.timestamp": timestamp,
        "data.target": target,
        "data.freq": freq,
        "name": name,
        "prediction_length": prediction_length,
        "training.max_minutes": max_minutes,
        "covariates.known": split(known),
        "covariates.past": split(past),
        "covariates.static": split(static),
        "evaluation.inspect": inspect,
    }
    if resume is not None:
        if network or overrides or recipe != "auto" or any(value is not None for value in options.values()):
            problem = Problem("--resume takes no other option", "the run has its settings", field="resume")
            raise ParameterError(problem)
        from pipelines import train as pipeline

        config, run = pipeline.resume(resume, console)
    else:
        config = _configured(gather(recipe, network, options, overrides))
        table = read(config.data, config.forecaster.covariates)
        from pipelines import train as pipeline

        run = pipeline.train(config, table, console)
    from pipelines.evaluation import as_table
    from pipelines.promote import publish

    outcome = publish(config.name, run, console, promote)
    console.print(as_table(run.leaderboard))
    for finding in run.findings:
        console.print(f"[yellow]inside:[/] {escape(finding)}", highlight=False)
    say(config.name, outcome)
    console.print(f"run {run.run_id}; look at it with: forecast ui")


def _configured(settings: dict[str, Any]) -> "TrainConfig":
    """Settings that are complete, with the options named that are missing."""
    from pipelines.settings import TrainConfig

    for key in ("name", "data"):
        if key not in settings:
            raise ParameterError(Problem(f"--{key} is missing", f"say --{key} ...", field=key))
    return TrainConfig.build(**settings)
