"""Backup and restore of the embedded store: SQLite databases and files in the working folder's `.forecast/`."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock, Timeout

from forecast.errors import ParameterError, Problem
from pipelines.backup.manifest import FILES, FileEntry, Manifest, copy, describe, new_backup, read_backup
from pipelines.backup.swap import STAGE, alone, check_whole, is_empty, replaced, settle
from pipelines.tracking import embedded_folder

_SQLITE = b"SQLite format 3\0"
_PASSING = (".lock", "-wal", "-shm", "-journal")  # belong to processes and to open databases
# Where MLflow's database holds addresses of files.
_ADDRESSES = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}


def backup(destination: Path) -> Manifest:
    """Copy the store, whatever else works in it meanwhile.

    Databases come first, each as it is at one moment: files that they name are on the disk by then.

    Raises:
        ParameterError: There is no store, or the destination cannot be used.
    """
    folder = embedded_folder()
    check_whole(folder)
    if not (folder / "mlflow.db").is_file():
        raise ParameterError(Problem(f"there is no store in {folder}", "call this where `forecast train` was called"))
    if destination.absolute().is_relative_to(folder):
        raise ParameterError(Problem(f"{destination} lies in the store itself", "choose a place outside"))
    manifest = Manifest(kind="embedded", origin=folder.as_uri(), mlflow=version("mlflow"))
    with new_backup(destination, manifest) as target:
        for path in sorted(_files(folder), key=lambda path: (not _is_database(path), path)):
            name = f"{FILES}/{path.relative_to(folder).as_posix()}"
            try:
                manifest.files[name] = (_copy_database if _is_database(path) else copy)(path, target / name)
            except FileNotFoundError:  # deleted meanwhile
                continue
    return manifest


def restore(source: Path, replace: bool) -> Manifest:
    """Put a store back, in whatever folder this is; all of it, or nothing.

    Args:
        source: A backup, which is checked first.
        replace: Whether a store that is there may go.

    Raises:
        DataError: The backup is none, or damaged.
        ParameterError: It is of another kind, or there is a store already, or one at work.
    """
    manifest = read_backup(source, "embedded")
    folder = embedded_folder()

    def fill(new: Path) -> None:
        for name in manifest.files:
            copy(source / name, new / Path(name).relative_to(FILES))
        _relocate(new / "mlflow.db", manifest.origin, folder.as_uri())

    with alone(folder):
        settle(folder, lambda identity: False)
        if not is_empty(folder) and not replace:
            hint = "to put this one in its place: --replace"
            raise ParameterError(Problem(f"there is a store in {folder} already", hint))
        _check_idle(folder)
        with replaced(folder, fill):
            pass
    return manifest


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(STAGE)]
        yield from (Path(root, name) for name in names if not name.endswith(_PASSING))


def _is_database(path: Path) -> bool:
    if path.suffix != ".db":
        return False
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def _copy_database(source: Path, target: Path) -> FileEntry:
    target.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(source)) as reader, closing(sqlite3.connect(target)) as writer:
        reader.backup(writer)
    return describe(target)


def _relocate(database: Path, before: str, after: str) -> None:
    """Change the addresses of files from one folder's to another's."""
    if before == after:
        return
    with closing(sqlite3.connect(database)) as connection, connection:
        for table, column in _ADDRESSES.items():
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",  # noqa: S608
                (after, len(before) + 1, len(before) + 1, before + "/"),
            )


def _check_idle(folder: Path) -> None:
    """Refuse to take a store from under a run.

    Raises:
        ParameterError: A process works on one.
    """
    for path in (folder / "running").glob("*.lock"):
        try:
            FileLock(path).acquire(timeout=0).lock.release()
        except Timeout:
            hint = "wait for it, or stop it"
            raise ParameterError(Problem(f"a process works on run {path.stem} in {folder}", hint)) from None
