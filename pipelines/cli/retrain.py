"""forecast retrain: the champion again, with the data that came since."""

from typing import Annotated

import typer
from rich.markup import escape

from pipelines.cli.app import app, console
from pipelines.cli.options import Freq, ItemId, Query, Target, Timestamp, read
from pipelines.cli.promote import Name, say


@app.command()
def retrain(
    name: Name,
    data: Annotated[
        str | None, typer.Option(help="The series up to now; by default where the champion's came from.")
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Start from fresh weights rather than from the champion's.")
    ] = False,
    promote: Annotated[bool, typer.Option(help="Put the model live where it is better than the champion.")] = True,
    query: Query = None,
    item_id: ItemId = None,
    timestamp: Timestamp = None,
    target: Target = None,
    freq: Freq = None,
) -> None:
    """Train the champion again with new data, judge both, and put the new one live if it is better.

    Made for every night: ends with 0 whether the champion changes or stays, and where nothing new came.
    """
    from pipelines import retrain as pipeline

    champion = pipeline.find_champion(name)
    columns = {"query": query, "item_id": item_id, "timestamp": timestamp, "target": target, "freq": freq}
    config = pipeline.settings(champion, {"path": data, **columns})
    table = read(config.data, config.forecaster.covariates)
    if idle := pipeline.nothing_to_do(champion, table, from_scratch):
        console.print(f"nothing to do: {escape(idle)}", highlight=False)
        return
    from pipelines.evaluation import as_table
    from pipelines.promote import publish

    run = pipeline.retrain(champion, config, table, console, from_scratch)
    outcome = publish(name, run, console, promote)
    console.print(as_table(run.leaderboard))
    say(name, outcome)
    if not outcome.promoted:
        console.print(f"version {champion.version} stays live", highlight=False)
    console.print(f"run {run.run_id}; look at it with: forecast ui")
