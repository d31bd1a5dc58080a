"""forecast train: one model, trained, judged, registered, and live if it is better."""

from typing import Annotated

import typer

from pipelines.cli.app import app, console
from pipelines.cli.options import Data, Freq, ItemId, Overrides, Target, Timestamp, read
from pipelines.cli.promote import say


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
    promote: Annotated[bool, typer.Option(help="Put the model live where it is better than what there is.")] = True,
    overrides: Overrides = None,
) -> None:
    """Train a model, judge it against naive forecasts, register it, and put it live if it is better."""
    from pipelines.recipes import load_recipe
    from pipelines.settings import TrainConfig, apply_overrides, put

    columns = {"item_id": item_id, "timestamp": timestamp, "target": target, "freq": freq}
    settings = {"name": name, "data": {"path": data, **columns}, "recipe": recipe, **load_recipe(recipe)}
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
    table = read(data, config.forecaster.covariates, **columns)
    from pipelines import train as pipeline
    from pipelines.evaluation import as_table
    from pipelines.promote import publish

    run = pipeline.train(config, table, console)
    outcome = publish(name, run, promote)
    console.print(as_table(run.leaderboard))
    say(name, outcome)
    console.print(f"run {run.run_id}; look at it with: forecast ui")
