"""Several processes behind one port, and the one that watches over them.

The watching process listens, imports what answering needs, and forks: a worker is there within a fraction of a
second, and shares the memory of what was imported. It answers nothing itself and computes nothing, so that no
thread of it is lost in a fork. All workers accept from the one socket: connections that wait are lost with none.
"""

import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType

from service.registry import prepared
from service.settings import Settings

PATIENCE = 40  # seconds that workers have to end
SETTLED = 30.0  # seconds after which a worker's end says nothing against its beginning
LOOK = 0.05  # seconds between looks at them
PAUSE = 1.0  # seconds before a worker is replaced that has ended at once

_log = logging.getLogger("service")


def watch(settings: Settings, listener: socket.socket) -> int:
    """Keep so many workers answering, until a signal comes.

    Returns:
        The exit status: 0 after SIGTERM or SIGINT; a worker's own where it could not even begin.
    """
    with _shared_metrics() as folder:
        return _Watch(settings, listener, folder).run()


@contextmanager
def _shared_metrics() -> Iterator[str]:
    """A folder in which workers keep their figures; it has to be named before prometheus_client is imported."""
    folder = tempfile.mkdtemp(prefix="forecast-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    owner = os.getpid()
    try:
        yield folder
    finally:
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)


@dataclass
class _Watch:
    settings: Settings
    listener: socket.socket
    metrics: str
    born: dict[int, float] = field(default_factory=dict)
    ending: bool = False
    pid: int = field(default_factory=os.getpid)

    def run(self) -> int:
        import service.serving  # noqa: F401  what workers need, imported once for all

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        for _ in range(self.settings.workers):
            self._fork()
        settled = False
        status = 0
        while self.born:
            pid, how = self._wait()
            code = os.waitstatus_to_exitcode(how)
            age = time.monotonic() - self.born.pop(pid)
            settled = settled or age > SETTLED
            self._mark_dead(pid)
            if self.ending:
                continue
            if code in (1, 2) and not settled:  # none could begin: the settings or the models are no good
                status = code
                self._end(signal.SIGTERM, None)
                continue
            _log.warning("worker %d ended with %d after %.1f s and is replaced", pid, code, age)
            if age < PAUSE and code >= 0:
                time.sleep(PAUSE)
            self._fork(at_once=False)  # those that are left answer until it can
        return status

    def _fork(self, at_once: bool = True) -> None:
        pid = os.fork()
        if pid:
            self.born[pid] = time.monotonic()
            if self.ending:  # the signal came in between
                os.kill(pid, signal.SIGTERM)
            return
        status = 1
        try:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: os._exit(0))  # until the server has its own
            from service.serving import end_with_parent, serve

            end_with_parent()
            status = serve(self.settings, self.listener, prepared(self.settings.tracking_uri), at_once)
        except BaseException:
            _log.exception("the worker broke")
        finally:
            sys.stderr.flush()
            os._exit(status)

    def _wait(self) -> tuple[int, int]:
        """The next worker that ends."""
        until: float | None = None
        while True:
            pid, how = os.waitpid(-1, os.WNOHANG)
            if pid:
                return pid, how
            if self.ending:
                until = until or time.monotonic() + PATIENCE
                if time.monotonic() > until:
                    self._signal_all(signal.SIGKILL)
            time.sleep(LOOK)

    def _end(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self.pid:  # a worker that is a moment old: the others are not its to end
            os._exit(0)
        self.ending = True
        self._signal_all(signal.SIGTERM)

    def _signal_all(self, number: int) -> None:
        for pid in list(self.born):
            with suppress(ProcessLookupError):  # has just ended
                os.kill(pid, number)

    def _mark_dead(self, pid: int) -> None:
        """What a worker has counted stays; what it showed of its moment does not."""
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(pid, self.metrics)  # type: ignore[no-untyped-call]
