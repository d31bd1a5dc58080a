"""What is finished of a long prediction, kept beside its output until all is: a run that was cut short goes on."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from filelock import FileLock, Timeout

from forecast.errors import ParameterError, Problem

MANIFEST, LOCK = "manifest.json", "lock"


class Part(NamedTuple):
    """What became of one piece.

    Attributes:
        forecasts: Rows of the output.
        rejects: The series that are left out, one a row.
        counts: Numbers for the summary, as JSON.
    """

    forecasts: pa.Table
    rejects: pa.Table
    counts: Mapping[str, Any]


class Journal:
    """The finished parts of one output, in a hidden folder beside it.

    Args:
        output: The file to be made.
        identity: All that decides what it will hold, as JSON: parts of anything else are thrown away.

    Attributes:
        folder: Where the parts are.
        finished: How many there are.
        stale: Whether there were parts of something else.
    """

    def __init__(self, output: Path, identity: Mapping[str, Any]) -> None:
        self.folder = output.resolve().with_name(f".{output.name}.parts")
        self._identity = json.loads(json.dumps(identity))
        self.finished, self.stale = 0, False

    @contextmanager
    def open(self) -> Iterator[None]:
        """Find what is finished, and keep others away meanwhile. A folder without any part is not left behind.

        Raises:
            ParameterError: Another process is at it.
        """
        self.folder.mkdir(exist_ok=True)
        lock = FileLock(self.folder / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            detail = f"another process is writing {self.folder.name.removeprefix('.').removesuffix('.parts')!r}"
            problem = Problem(detail, "wait for it, or name another --output", field="output")
            raise ParameterError(problem) from None
        try:
            self._begin()
            yield
        finally:
            if not self._path(0).exists():
                self.remove()
            lock.release()

    def keep(self, part: Part) -> Part:
        """Add a part and give it back; it is there whole or not at all."""
        path = self._path(self.finished)
        _write(path.with_suffix(".rejects"), part.rejects)
        _write(path, part.forecasts.replace_schema_metadata({"counts": json.dumps(part.counts)}))
        self.finished += 1
        return part

    def parts(self) -> Iterator[Part]:
        """All finished parts, in their order."""
        for number in range(self.finished):
            path = self._path(number)
            forecasts, rejects = _read(path), _read(path.with_suffix(".rejects"))
            counts = json.loads(forecasts.schema.metadata[b"counts"])
            yield Part(forecasts.replace_schema_metadata(), rejects, counts)

    def remove(self) -> None:
        """Forget everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _begin(self) -> None:
        manifest = self.folder / MANIFEST
        try:
            known = json.loads(manifest.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            known = None
        if known != self._identity:
            self.stale = self._path(0).exists()
            for path in self.folder.iterdir():
                if path.name != LOCK:
                    path.unlink()
            draft = manifest.with_suffix(".draft")
            draft.write_text(json.dumps(self._identity), encoding="utf-8")
            draft.replace(manifest)
        while self._path(self.finished).exists():
            self.finished += 1

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.arrow"


def _write(path: Path, table: pa.Table) -> None:
    draft = path.with_name(f"{path.name}.draft")
    with pa.ipc.new_file(str(draft), table.schema) as writer:
        writer.write_table(table)
    draft.replace(path)


def _read(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).read_all()
