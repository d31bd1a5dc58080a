"""The life of a run: held by one process, ended by it, and by others where that process died."""

import errno
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from filelock import FileLock, Timeout
from rich.console import Console

from forecast.errors import DiskFull, ParameterError, Problem, RegistryUnavailable
from pipelines.tracking import embedded_folder, registry_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

T = TypeVar("T")

PATIENCE = 180  # seconds that a store which is away is waited for at the end of a training
FIRST_WAIT, LONGEST_WAIT = 1.0, 15.0  # seconds between two tries

_FULL = ("No space left on device", "disk is full", "Disk quota exceeded")


@contextmanager
def held(client: "MlflowClient", run_id: str) -> Iterator[None]:
    """Work on a run: it ends FINISHED, FAILED or (interrupted or terminated) KILLED, whatever happens inside.

    A lock, which the system lets go of when this process ends in any way, tells others that it is alive. What
    a process that was killed could not do is done by the next command: see `end_abandoned`.

    Raises:
        ParameterError: Another process works on this run.
        DiskFull: There was no room left.
    """
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{run_id}.lock"
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        hint = "wait for it, or stop it"
        raise ParameterError(Problem(f"another process works on run {run_id}", hint, field="resume")) from None
    status = "FAILED"
    try:
        with _terminated_as_interrupted():
            yield
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    except Exception as error:
        if is_disk_full(error):
            hint = f"free some space, then go on with: forecast train --resume {run_id}"
            raise DiskFull(
                Problem(f"the disk is full: run {run_id} stopped, and nothing was registered", hint)
            ) from error
        raise
    finally:
        try:
            with registry_errors():
                client.set_terminated(run_id, status)
            path.unlink()
        except (RegistryUnavailable, OSError):
            pass  # the lock's file stays: the next command that reaches the store ends the run
        finally:
            lock.release()


def end_abandoned(client: "MlflowClient") -> None:
    """End the runs of processes on this machine that died, as KILLED: nothing else ever would."""
    for path in _folder().glob("*.lock"):
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        try:
            with registry_errors():
                if client.get_run(path.stem).info.status == "RUNNING":
                    client.set_terminated(path.stem, "KILLED")
            path.unlink(missing_ok=True)
        finally:
            lock.release()


def patiently(call: Callable[[], T], console: Console) -> T:
    """Call what needs the store; where it is away, tell of it and try again for some minutes.

    Raises:
        RegistryUnavailable: It stayed away.
    """
    latest, tries = time.monotonic() + PATIENCE, waits(console)
    while True:
        try:
            with registry_errors():
                return call()
        except RegistryUnavailable as error:
            if is_disk_full(error) or time.monotonic() > latest:
                raise
        time.sleep(next(tries))


def waits(console: Console | None = None) -> Iterator[float]:
    """The seconds before each further try of a store that is away, which is told of once."""
    if console:
        console.print("the tracking store does not answer: trying again")
    wait = FIRST_WAIT
    while True:
        yield wait
        wait = min(2 * wait, LONGEST_WAIT)


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, or what caused it, is a disk without room."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if any(text in str(cause) for text in _FULL):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def checkpoint_folder(run_id: str) -> Path:
    """Where a run's training keeps its state until its model is registered."""
    return embedded_folder() / "checkpoints" / run_id


def _folder() -> Path:
    return embedded_folder() / "running"


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let a request to end (SIGTERM, as a scheduler sends it) be what Ctrl-C is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
