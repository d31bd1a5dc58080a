"""`python -m service`: reads the settings, serves, and exits 0 when told to stop."""

import logging
import os
import signal
import socket
import sys

import torch
import uvicorn

from forecast.errors import ForecastError, ParameterError, Problem
from service.app import create_app
from service.models import Loader, Models
from service.patience import PatientProtocol
from service.settings import Settings

BACKLOG = 2048  # connections that wait to be accepted
GRACE = 30  # seconds that requests under way have to end after SIGTERM

_log = logging.getLogger("service")


def main() -> int:
    """Serve until a signal comes.

    Returns:
        The exit status: 0 after SIGTERM or SIGINT, 2 when the settings or the model cannot be used, 1 when
        something of ours broke.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        settings = Settings.from_environment(os.environ)
        listener = _listen(settings.host, settings.port)
    except ForecastError as error:
        return _give_up(error)
    torch.set_num_threads(1)
    models = Models()
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(models, settings.access),
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            http=PatientProtocol,
            timeout_graceful_shutdown=GRACE,
        )
    )

    def stop() -> None:
        server.should_exit = True

    loader = Loader(settings, models, on_failure=stop)
    for number in (signal.SIGTERM, signal.SIGINT):  # the server raises the signal again once it has shut down
        signal.signal(number, lambda *_: sys.exit(0))
    loader.start()
    _log.info("listening on http://%s:%d, loading %s", settings.host, settings.port, settings.model)
    server.run([listener])
    if isinstance(loader.failure, ForecastError):
        return _give_up(loader.failure)
    if loader.failure:
        _log.error("the model could not be loaded", exc_info=loader.failure)
        return 1
    return 0


def _listen(host: str, port: int) -> socket.socket:
    """A socket that callers can already connect to.

    Raises:
        ParameterError: The address is in use, or not one of this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        problem = Problem(
            f"cannot listen on {host}:{port}: {error.strerror}", "choose another FORECAST_PORT or FORECAST_HOST"
        )
        raise ParameterError(problem) from error


def _give_up(error: ForecastError) -> int:
    sys.stderr.write(f"error: {error}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
