"""`python -m service`: reads the settings, serves, and exits 0 when told to stop."""

import logging
import os
import signal
import socket
import sys

from forecast.errors import ForecastError, ParameterError, Problem
from service.logs import log_to_stderr
from service.registry import prepared
from service.settings import Settings

BACKLOG = 2048  # connections that wait to be accepted

_log = logging.getLogger("service")


def main() -> int:
    """Serve until a signal comes.

    Returns:
        The exit status: 0 after SIGTERM or SIGINT, 2 when the settings or a model cannot be used, 1 when
        something of ours broke.
    """
    log_to_stderr()
    try:
        settings = Settings.from_environment(os.environ)
        listener = _listen(settings.host, settings.port)
    except ForecastError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    for number in (signal.SIGTERM, signal.SIGINT):  # until the server has its own
        signal.signal(number, lambda *_: sys.exit(0))
    wanted = f"all with @{settings.all_with}" if settings.all_with else ", ".join(map(str, settings.models))
    _log.info("listening on http://%s:%d, loading %s", settings.host, settings.port, wanted)
    if settings.workers > 1:
        from service.workers import watch

        return watch(settings, listener)
    registry = prepared(settings.tracking_uri)  # while this process imports what answering needs
    from service.serving import serve

    return serve(settings, listener, registry)


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


if __name__ == "__main__":
    sys.exit(main())
