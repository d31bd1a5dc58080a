"""The application that the commands belong to, and where they write."""

import typer
from rich.console import Console

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Train, track, serve and understand time-series forecasts.",
)
console = Console(soft_wrap=True)
complaints = Console(stderr=True, soft_wrap=True)
