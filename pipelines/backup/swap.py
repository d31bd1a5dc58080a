"""Replacing all that is in a folder, so that it can be taken back until the very end.

The folder itself stays: it may be a volume. Everything happens in its subfolder `.restoring`: `new` is filled
first, then what was there goes to `old`, then what is new takes its place, by renaming. Whatever happens in
between, `settle` finds the state and ends it, one way or the other.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

from forecast.errors import ParameterError, Problem
from pipelines.backup.manifest import sync_folder

STAGE, DONE = ".restoring", ".restoring.done"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Be the only one to replace what is in a folder, which is made where it is not there.

    Raises:
        ParameterError: Another process is at it, or this one may not.
    """
    lock = folder / f"{STAGE}.lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, timeout=0):
            try:
                yield
            finally:
                lock.unlink()
    except Timeout:
        raise ParameterError(Problem(f"another restore works on {folder}", "wait for it, or stop it")) from None
    except PermissionError as error:
        problem = Problem(f"{error.filename}: permission denied", "let this user read and write there")
        raise ParameterError(problem) from error


@contextmanager
def replaced(folder: Path, fill: Callable[[Path], None]) -> Iterator[str]:
    """Work with a folder's new content in place; what was there comes back where that fails.

    Args:
        folder: The one whose content goes; this process must be `alone` in it.
        fill: Puts the new content into an empty folder.

    Yields:
        What tells this replacement from others: whoever records it makes the replacement final, see `settle`.
    """
    stage = folder / STAGE
    try:
        (stage / "new").mkdir(parents=True)
        (stage / "old").mkdir()
        identity = uuid4().hex
        (stage / "identity").write_text(identity)
        fill(stage / "new")
        _move(folder, stage / "old")
        (stage / "emptied").touch()
        sync_folder(stage)
        _move(stage / "new", folder)
        sync_folder(folder)
        yield identity
    except BaseException:
        _take_back(folder)
        raise
    _finish(folder)


def settle(folder: Path, final: Callable[[str], bool]) -> None:
    """End a replacement whose process died: keep it where it had become final, take it back otherwise.

    Args:
        folder: The one whose content was being replaced.
        final: Whether the replacement of that identity was recorded.
    """
    stage = folder / STAGE
    shutil.rmtree(folder / DONE, ignore_errors=True)
    if not stage.exists():
        return
    identity = stage / "identity"
    if identity.is_file() and (text := identity.read_text()) and final(text):
        _finish(folder)
    else:
        _take_back(folder)


def is_empty(folder: Path) -> bool:
    """Whether there is nothing in a folder, or no such folder."""
    return not folder.exists() or not any(_entries(folder))


def check_whole(folder: Path) -> None:
    """Refuse to work with a folder whose content is being replaced.

    Raises:
        ParameterError: It is, or the process that did so died.
    """
    if (folder / STAGE).exists():
        hint = "wait for it, or call it again where it was cut off"
        raise ParameterError(Problem(f"a restore into {folder} has not ended", hint))


def _finish(folder: Path) -> None:
    """Let what was there go. By its new name, it is known to be garbage however far this comes."""
    (folder / STAGE).rename(folder / DONE)
    shutil.rmtree(folder / DONE)


def _take_back(folder: Path) -> None:
    stage = folder / STAGE
    if (stage / "emptied").exists():  # so what is there now is new
        _move(folder, stage / "new")
        (stage / "emptied").unlink()  # before anything old is back: this may be cut off as well
    if (stage / "old").exists():
        _move(stage / "old", folder)
    shutil.rmtree(stage, ignore_errors=True)


def _entries(folder: Path) -> list[Path]:
    return [entry for entry in folder.iterdir() if not entry.name.startswith(STAGE)]


def _move(source: Path, target: Path) -> None:
    for entry in _entries(source):
        entry.rename(target / entry.name)
