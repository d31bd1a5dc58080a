"""The command line, a file for each command; `forecast --help` lists them.

Commands import what they need when they run, so that help and mistakes answer at once. A caller's mistake
ends with exit code 2 and one message.
"""

import warnings
from typing import Any

from rich.markup import escape

from forecast.errors import DataWarning, ForecastError
from pipelines.cli import backtest, backup, demo, inspect, predict, promote, recipes, retrain, serve, train, tune  # noqa: F401
from pipelines.cli.app import app, complaints


def main() -> None:
    """The console script: the commands, with mistakes as one message and exit code 2."""
    warnings.showwarning = _show_warning
    warnings.simplefilter("always", DataWarning)
    try:
        app()
    except ForecastError as error:
        raise _ended(str(error)) from None
    except Exception as error:
        from pipelines.runs import is_disk_full

        if is_disk_full(error):
            raise _ended("the disk is full; free some space, then repeat the command") from None
        raise


def _ended(message: str) -> SystemExit:
    complaints.print(f"[red]error:[/] {escape(message)}", highlight=False)
    return SystemExit(2)


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    """A warning about the data as one line; those of other libraries are theirs, not the caller's."""
    if issubclass(category, DataWarning):
        complaints.print(f"[yellow]note:[/] {escape(str(message))}", highlight=False)
