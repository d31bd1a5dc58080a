"""One process that answers: its models, its server, and how it ends."""

import ctypes
import gc
import logging
import os
import signal
import socket
import sys
import time
from types import FrameType

import torch
import uvicorn

from forecast.errors import ForecastError
from service.app import create_app
from service.engine import EngineLimits
from service.metrics import Metrics
from service.models import Keeper, Models
from service.patience import PatientProtocol
from service.registry import Registry
from service.settings import Settings

GRACE = 30  # seconds that requests under way have to end after SIGTERM
# Seconds that a connection may rest between requests. Proxies keep theirs for a minute, and whoever closes first must
# be the caller: a request that comes just as the service closes is lost.
KEEP_ALIVE = 75
PATIENCE = 5  # seconds that the keeper has to come to an end
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG, prctl(2)

_log = logging.getLogger("service")


def serve(settings: Settings, listener: socket.socket, registry: Registry | None, at_once: bool = True) -> int:
    """Answer until a signal comes.

    Args:
        settings: Which models, and how.
        listener: Where callers come from.
        registry: Where registered models come from.
        at_once: Whether to answer before the models are there, that it is not ready; otherwise others do.

    Returns:
        The exit status: 0 after SIGTERM or SIGINT, 2 when a model cannot be had, 1 when something of ours broke.
    """
    torch.set_num_threads(1)
    models, metrics = Models(), Metrics()
    limits = EngineLimits(settings.queue, timeout=settings.timeout, longest_timeout=settings.longest_timeout)
    config = uvicorn.Config(
        create_app(models, limits, metrics, settings.access),
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        http=PatientProtocol,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
    )
    server = _Server(config, models, settings.drain_seconds)
    gc.freeze()  # what is imported stays: looking through it for garbage would hold up answers for a tenth of a second
    keeper = Keeper(settings, models, metrics, registry, on_failure=server.end)
    keeper.start()
    if not at_once:
        keeper.settled.wait()
    server.run([listener])
    keeper.stop()
    keeper.join(PATIENCE)
    if isinstance(keeper.failure, ForecastError):
        sys.stderr.write(f"error: {keeper.failure}\n")
        return 2
    if keeper.failure:
        _log.error("the models could not be loaded", exc_info=keeper.failure)
        return 1
    return 0


def end_with_parent() -> None:
    """Get SIGTERM when the process that watches over this one is gone; on Linux alone."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGTERM)
        if os.getppid() != parent:
            sys.exit(0)


class _Server(uvicorn.Server):
    """Says that it is not ready any more before it stops accepting connections.

    Args:
        config: uvicorn's.
        models: Whose `draining` says so.
        drain_seconds: How long it answers on, so that a load balancer sees it.
    """

    def __init__(self, config: uvicorn.Config, models: Models, drain_seconds: float) -> None:
        super().__init__(config)
        self._models, self._drain_seconds = models, drain_seconds
        self._end_at: float | None = None

    def end(self) -> None:
        """Stop at once."""
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal begins the end, a second one hurries it."""
        if self._end_at is None and self._drain_seconds:
            self._models.draining = True
            self._end_at = time.monotonic() + self._drain_seconds
            return
        self._models.draining = True
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second."""
        if self._end_at is not None and time.monotonic() >= self._end_at:
            self.should_exit = True
        return await super().on_tick(counter)
