"""What a backup holds: a folder of files with their checksums, complete or not there at all."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from forecast.errors import DataError, ParameterError, Problem

NAME = "manifest.json"
FILES, DUMP = "files", "database.dump"
CHUNK = 1 << 20


def _inside(path: str) -> str:
    """Refuse a path that would lead out of the backup."""
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts:
        raise ValueError(f"{path!r} leads out of the backup")
    return path


class FileEntry(BaseModel):
    """One file: its size in bytes and its SHA-256 as hex."""

    model_config = ConfigDict(extra="forbid")
    size: int
    sha256: str


class Manifest(BaseModel):
    """The list of a backup's files.

    Attributes:
        format: Of the backup.
        kind: The embedded store, or the database and artifacts of an MLflow server.
        created: When it was begun, in UTC.
        origin: Address (file://) of the folder that `files/` was copied from.
        mlflow: The version that made it.
        files: Every file but this one, by its path in the backup.
    """

    model_config = ConfigDict(extra="forbid")
    format: Literal[1] = 1
    kind: Literal["embedded", "server"]
    created: datetime = Field(default_factory=lambda: datetime.now(UTC))
    origin: str
    mlflow: str
    files: dict[Annotated[str, AfterValidator(_inside)], FileEntry] = {}

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.files.values())


@contextmanager
def new_backup(destination: Path, manifest: Manifest) -> Iterator[Path]:
    """A folder to fill, which becomes the backup at the end; where something fails it goes.

    Args:
        destination: The backup; must not be there yet, and its parent must.
        manifest: Written last, with what it lists by then.

    Raises:
        ParameterError: The destination cannot be used.
    """
    destination = destination.absolute()
    if destination.exists():
        raise ParameterError(Problem(f"{destination} is there already", "choose a new name", field="destination"))
    try:
        partial = Path(tempfile.mkdtemp(prefix=f"{destination.name}.partial-", dir=destination.parent))
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        detail = f"a backup cannot be made in {destination.parent}: {error.strerror}"
        raise ParameterError(Problem(detail, "make that folder, and let this user write there")) from error
    try:
        yield partial
        with (partial / NAME).open("w", encoding="utf-8") as file:
            file.write(manifest.model_dump_json(indent=1))
            os.fsync(file.fileno())
        partial.rename(destination)
        sync_folder(destination.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def read_backup(source: Path, kind: Literal["embedded", "server"]) -> Manifest:
    """A backup's manifest, once all its files have been found to be what was written.

    Raises:
        DataError: `no-such-file`, `unreadable-file`: it is none, or damaged.
        ParameterError: It is of the other kind of store.
    """
    try:
        manifest = Manifest.model_validate_json((source / NAME).read_bytes())
    except OSError as error:
        detail = f"{source} is no backup: {NAME} cannot be read ({error.strerror})"
        raise DataError("no-such-file", Problem(detail, "name a folder that `forecast backup` made")) from error
    except ValidationError as error:
        detail = f"{source / NAME} is damaged: {error.errors()[0]['msg']}"
        raise DataError("unreadable-file", Problem(detail, "take another backup")) from error
    if manifest.kind != kind:
        hint = "say --database and --artifacts" if kind == "embedded" else "leave out --database and --artifacts"
        raise ParameterError(Problem(f"{source} is a backup of the other kind of store ({manifest.kind})", hint))
    damaged = [
        Problem(f"{source / name} is {'damaged' if (source / name).is_file() else 'missing'}", "take another backup")
        for name, entry in manifest.files.items()
        if not _matches(source / name, entry)
    ]
    if damaged:
        raise DataError("unreadable-file", damaged)
    return manifest


def copy(source: Path, target: Path) -> FileEntry:
    """Copy a file to a new one, on the disk when this returns, and describe what was copied."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as reader, target.open("xb") as writer:
        while chunk := reader.read(CHUNK):
            digest.update(chunk)
            size += writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return FileEntry(size=size, sha256=digest.hexdigest())


def describe(path: Path) -> FileEntry:
    """A file's size and checksum."""
    with path.open("rb") as file:
        return FileEntry(size=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def sync_folder(folder: Path) -> None:
    """Make what was renamed in a folder last."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _matches(path: Path, entry: FileEntry) -> bool:
    return path.is_file() and path.stat().st_size == entry.size and describe(path) == entry
