"""forecast tune, forecast spaces: a search for better settings, and what it searches."""

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from pipelines.cli.app import app, console
from pipelines.cli.options import Data, Freq, ItemId, Overrides, Query, Target, Timestamp, gather, read, split

spaces = typer.Typer(help="List the spaces that tune can search, or show one.", rich_markup_mode="markdown")
app.add_typer(spaces, name="spaces")


@spaces.callback(invoke_without_command=True)
def names(context: typer.Context) -> None:
    """List the spaces: what `forecast tune` searches for each kind of network."""
    if context.invoked_subcommand is not None:
        return
    from pipelines.tune.space import SPACES

    for known in SPACES.names():
        console.print(f"[bold]{known}[/]  {escape(SPACES.about(known))}", highlight=False)


@spaces.command()
def show(name: Annotated[str, typer.Argument(help="A space's name, or a .yaml file.")]) -> None:
    """Show a space as it is written: a start for one of your own."""
    from pipelines.tune.space import SPACES

    console.print(SPACES.text(name), markup=False, highlight=False, end="")


@app.command()
def tune(
    data: Data,
    name: Annotated[str, typer.Option(help="Name of the study, its experiment and the model.")],
    prediction_length: Annotated[int | None, typer.Option(help="Steps to forecast; many a recipe says.")] = None,
    recipe: Annotated[str, typer.Option(help="Where the search starts: `forecast recipes`, or a .yaml file.")] = "auto",
    network: Annotated[
        str | None,
        typer.Option(help="One network, feedforward, cnn, rnn, gru or lstm, in place of the recipe's ensemble."),
    ] = None,
    space: Annotated[
        str | None, typer.Option(help="What is searched: `forecast spaces`, or a .yaml file; by default the network's.")
    ] = None,
    metric: Annotated[str, typer.Option(help="What trials are compared by: mase, rmsse, smape or wql.")] = "mase",
    trials: Annotated[int, typer.Option(help="Trials in all; more than before goes on with the study.", min=1)] = 30,
    max_minutes: Annotated[float | None, typer.Option(help="Search no longer than this.", min=0)] = None,
    jobs: Annotated[int, typer.Option(help="Trials at the same time, each a process with one thread.", min=1)] = 1,
    output: Annotated[Path | None, typer.Option(help="The recipe to write, by default NAME.yaml.")] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Forget the study of that name, and start anew.")] = False,
    query: Query = None,
    item_id: ItemId = None,
    timestamp: Timestamp = None,
    target: Target = None,
    freq: Freq = None,
    known: Annotated[str | None, typer.Option(help="Covariates known in advance: columns, by commas.")] = None,
    past: Annotated[str | None, typer.Option(help="Covariates known for the past only.")] = None,
    static: Annotated[str | None, typer.Option(help="Covariates that are one value for a series.")] = None,
    overrides: Overrides = None,
) -> None:
    """Search for better settings, and write the best as a recipe for `forecast train`.

    Trials are judged on windows before those that train judges by. The first has the settings that the search
    starts from. What is searched for each kind of network: `forecast spaces`, `forecast spaces show recurrent`.
    The same command goes on with a search that was stopped.
    """
    from pipelines.settings import TrainConfig
    from pipelines.tune.space import default_space, load_space

    options = {
        "name": name,
        "data.path": data,
        "data.query": query,
        "data.item_id": item_id,
        "data.timestamp": timestamp,
        "data.target": target,
        "data.freq": freq,
        "prediction_length": prediction_length,
        "covariates.known": split(known),
        "covariates.past": split(past),
        "covariates.static": split(static),
    }
    settings = gather(recipe, network, options, overrides)
    config = TrainConfig.build(**settings)
    space = space or default_space(config.forecaster)
    declared = load_space(space)
    table = read(config.data, config.forecaster.covariates)
    from pipelines.tune.pipeline import Plan
    from pipelines.tune.pipeline import tune as pipeline
    from pipelines.tune.report import METRICS
    from pipelines.tune.search import Effort
    from pipelines.tune.study import study_address

    console.print(f"searching the space {escape(space)}: {', '.join(declared)}", highlight=False)
    written = output or Path(f"{name}.yaml")
    plan = Plan(settings, declared, metric, written, anew)
    tuned = pipeline(plan, Effort(trials, max_minutes, jobs), table, console)
    if tuned.found is None:
        console.print("stopped before a trial could be judged; the same command goes on")
    else:
        found = tuned.found
        console.print(
            f"[green]trial {found.number} is the best[/]: {METRICS[metric]} {found.comparison}", highlight=False
        )
        for key, (before, now) in found.changes.items():
            if now != before:
                console.print(f"  {key}: {escape(now)} (was {escape(before)})", highlight=False)
        console.print(f"written to {escape(str(written))}; train it with: {escape(_train(written, options))}")
    console.print(f"study {escape(name)} in {study_address()}; run {tuned.run_id}, look at it with: forecast ui")
    if tuned.stopped_by is not None:
        raise typer.Exit(128 + tuned.stopped_by)


def _train(recipe: Path, options: dict[str, Any]) -> str:
    """The command that trains a recipe on the data of its search: fit to be copied into a shell, but for a password.

    Args:
        recipe: The file.
        options: Settings by their paths, as the search was asked for them; None where an option was not given.
    """
    from pipelines.data.address import without_secrets

    words = ["forecast", "train", "--recipe", str(recipe)]
    for key in ("data.path", "data.query", "data.item_id", "data.timestamp", "data.target", "data.freq", "name"):
        if options[key] is not None:
            option = "data" if key == "data.path" else key.removeprefix("data.").replace("_", "-")
            words += [f"--{option}", without_secrets(options[key]) if key == "data.path" else options[key]]
    return shlex.join(words)
