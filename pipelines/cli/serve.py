"""forecast serve, forecast ui: processes that answer until they are stopped."""

import os
import sys
from typing import Annotated

import typer

from forecast.command import module_command
from pipelines.cli.app import app, console


@app.command()
def serve(
    model: Annotated[
        list[str],
        typer.Option(help="NAME@champion, NAME/3, models:/... or a folder; as often as needed. @champion: all such."),
    ],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8000,
    workers: Annotated[int, typer.Option(help="Processes that answer, one for each core.", min=1, max=64)] = 1,
) -> None:
    """Answer POST /v1/forecast with registered models."""
    from forecast.reference import ModelReference
    from pipelines.tracking import tracking_uri

    for one in model:
        ModelReference.parse(f"any{one}" if one.startswith("@") else one)
    settings = {
        "FORECAST_MODEL": "",
        "FORECAST_MODELS": ",".join(model),
        "FORECAST_HOST": host,
        "FORECAST_PORT": str(port),
        "FORECAST_WORKERS": str(workers),
    }
    _become(module_command("service"), {"MLFLOW_TRACKING_URI": tracking_uri(), **settings})


@app.command()
def ui(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 5000,
) -> None:
    """Browse the runs and models of the embedded store in the MLflow UI."""
    from pipelines.runs import end_abandoned
    from pipelines.tracking import connect, shown_uri, tracking_uri

    end_abandoned(connect())
    if tracking_uri().startswith("http"):
        console.print(f"runs are tracked at {shown_uri()}: open that address in a browser")
        return
    console.print(f"open http://{host}:{port} in a browser; Ctrl-C ends it")
    words = ["server", "--backend-store-uri", tracking_uri(), "--host", host, "--port", str(port), "--workers", "1"]
    _become(module_command("mlflow", *words), {})


def _become(command: list[str], settings: dict[str, str]) -> None:
    """Turn this process into another, which then gets its signals itself."""
    sys.stdout.flush()
    os.execve(command[0], command, {**os.environ, **settings})  # noqa: S606
