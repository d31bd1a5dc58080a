"""forecast lab: what the textbook says about neural networks, tried out on the bundled data."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from pipelines.cli.app import app, complaints, console


@app.command()
def lab(
    output: Annotated[Path, typer.Option(help="The folder to write: report.html, lab.json, tables.")] = Path("lab"),
    only: Annotated[
        list[str] | None,
        typer.Option(help="One experiment in place of all, as often as needed.", metavar="EXPERIMENT"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what lab.json holds, and nothing else.")] = False,
) -> None:
    """Try out the textbook's claims about neural networks on the bundled data, in about five minutes.

    Each is an experiment with numbers, pictures and a verdict that follows from them: one-batch, memory, depth,
    learning-rate, optimizers, overfitting, outputs.
    """
    from pipelines.folder import check_output
    from pipelines.lab.run import check_names, experiments

    say = complaints if as_json else console
    names = check_names(only or [])
    check_output(output)
    say.print("starting")  # the imports below take seconds
    from forecast import datasets, read_series
    from pipelines.lab.report import REPORT, summary, write

    done = {}
    for name, one in experiments(read_series(datasets.load_pedestrian()), names):
        done[name] = one
        colour, word = ("green", "holds") if one.verdict.holds else ("yellow", "does not hold here")
        say.print(f"[bold]{escape(one.lesson.claim)}[/] [{colour}]{word}[/] ({one.seconds:.0f} s)", highlight=False)
        say.print(f"  {escape(one.verdict.because)}", highlight=False)
    write(done, output)
    say.print(f"report, numbers and tables in {escape(str(output))}: open {escape(str(output / REPORT))}")
    if as_json:
        typer.echo(json.dumps(summary(done), indent=1, ensure_ascii=False, allow_nan=False))
