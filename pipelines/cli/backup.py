"""forecast backup, forecast restore: copies of the whole store, and the way back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from forecast.errors import ParameterError, Problem
from pipelines.cli.app import app, console

if TYPE_CHECKING:
    from pipelines.backup.manifest import Manifest

Database = Annotated[
    str | None,
    typer.Option(
        envvar="FORECAST_DATABASE", help="postgresql://user@host/name of an MLflow server; what is left out is libpq's."
    ),
]
Artifacts = Annotated[
    Path | None, typer.Option(envvar="FORECAST_ARTIFACTS", help="The folder of that server's artifacts.")
]


@app.command()
def backup(
    destination: Annotated[Path, typer.Argument(help="A folder to be made.")],
    database: Database = None,
    artifacts: Artifacts = None,
) -> None:
    """Copy database and artifacts, while others go on working with them.

    Of the embedded store in `.forecast/`; with --database and --artifacts, of an MLflow server.
    """
    if server := _server(database, artifacts):
        from pipelines.backup import server as of_server

        manifest = of_server.backup(destination, *server)
    else:
        from pipelines.backup import embedded

        manifest = embedded.backup(destination)
    console.print(f"{escape(str(destination))} holds {_size(manifest)}", highlight=False)


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(help="A folder that `forecast backup` made.")],
    replace: Annotated[bool, typer.Option("--replace", help="Put it in place of the store that is there.")] = False,
    database: Database = None,
    artifacts: Artifacts = None,
) -> None:
    """Put a backup back, after checking it: all of it, or nothing.

    Stop what works with the store first.
    """
    if server := _server(database, artifacts):
        from pipelines.backup import server as of_server

        manifest = of_server.restore(source, *server, replace)
    else:
        from pipelines.backup import embedded

        manifest = embedded.restore(source, replace)
    console.print(f"restored {_size(manifest)} of {manifest.created:%Y-%m-%d %H:%M} UTC", highlight=False)


def _server(database: str | None, artifacts: Path | None) -> tuple[str, Path] | None:
    """Database and artifacts of a server, or None for the embedded store.

    Raises:
        ParameterError: One of them is missing.
    """
    if database and artifacts:
        return database, artifacts
    if database or artifacts:
        raise ParameterError(Problem("--database and --artifacts go together", "say both, or none"))
    from pipelines.tracking import is_embedded, shown_uri

    if not is_embedded():
        hint = "say where they are: --database postgresql://... --artifacts FOLDER"
        raise ParameterError(Problem(f"{shown_uri()} does not say where its database and artifacts are", hint))
    return None


def _size(manifest: "Manifest") -> str:
    return f"{len(manifest.files)} files, {manifest.size / 1e6:.1f} MB"
