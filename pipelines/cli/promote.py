"""forecast promote, forecast rollback: which version is live."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from forecast.errors import ParameterError, Problem
from pipelines.cli.app import app, console
from pipelines.cli.options import Freq, ItemId, Query, Target, Timestamp, read

if TYPE_CHECKING:
    from pipelines.promote import Registration

Name = Annotated[str, typer.Argument(help="Name of the registered model.")]


@app.command()
def promote(
    name: Name,
    version: Annotated[str | None, typer.Option(help="The version to put live.")] = None,
    data: Annotated[str | None, typer.Option(help="Series to judge it and the champion on, as for training.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Put it live whatever the figures say; needs --reason.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Why, for the history.")] = "",
    history: Annotated[bool, typer.Option("--history", help="Show who was champion when, and why.")] = False,
    query: Query = None,
    item_id: ItemId = None,
    timestamp: Timestamp = None,
    target: Target = None,
    freq: Freq = None,
) -> None:
    """Put a version live if it is better than the champion on windows neither has learnt from.

    Without --data the errors count that both runs recorded of the same windows.
    """
    if history:
        show_history(name)
        return
    if version is None or not version.isdecimal():
        found = "none" if version is None else repr(version)
        raise ParameterError(Problem(f"--version must be a number, found {found}", "say which: --version 4"))
    if reason and not force:
        raise ParameterError(Problem("--reason goes with --force", "leave it out, or add --force"))
    columns = {"query": query, "item_id": item_id, "timestamp": timestamp, "target": target, "freq": freq}
    if data is None and (given := [field for field, value in columns.items() if value is not None]):
        option = given[0].replace("_", "-")
        raise ParameterError(Problem(f"--{option} goes with --data", "name the series: --data ...", field=given[0]))
    from pipelines import promote as pipeline

    if force:
        say(name, pipeline.force(name, version, reason))
        return
    table = None
    if data is not None:
        from pipelines.registry import load
        from pipelines.settings import DataConfig

        covariates = load(f"{name}/{version}").forecaster.covariates
        table = read(DataConfig.build(path=data, **columns), covariates)
    say(name, pipeline.promote_version(name, version, table))


@app.command()
def rollback(name: Name, reason: Annotated[str, typer.Option(help="Why, for the history.")] = "") -> None:
    """Put the previous champion back."""
    from pipelines import promote as pipeline

    say(name, pipeline.rollback(name, reason))


def show_history(name: str) -> None:
    """Print a model's history, and where its champion is not what that says."""
    from pipelines.contender import champion_version
    from pipelines.history import as_text, difference, read
    from pipelines.tracking import connect

    client = connect()
    decisions, live = read(client, name), champion_version(client, name)
    for decision in decisions:
        console.print(escape(as_text(decision)), highlight=False)
    expected = decisions[-1].champion if decisions else None
    console.print(f"version {live} is live" if live else "no version is live", highlight=False)
    if live != expected:
        console.print(f"[yellow]note:[/] {escape(difference(expected, live))}", highlight=False)


def say(name: str, outcome: "Registration") -> None:
    """Say what became of a version."""
    where, why = escape(f"{name}/{outcome.version}"), escape(outcome.reason)
    if outcome.promoted:
        console.print(f"[green]{where} is the champion[/]: {why}", highlight=False)
    else:
        console.print(f"[yellow]{where} is registered, but not live[/]: {why}", highlight=False)
