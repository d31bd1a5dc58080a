"""forecast demo."""

from pipelines.cli.app import app, console


@app.command()
def demo() -> None:
    """The whole way on bundled real data: train, track, register, serve, POST, show."""
    console.print("starting")  # the imports below take seconds
    from pipelines.demo import run

    run(console)
