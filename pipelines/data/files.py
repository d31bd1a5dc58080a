"""Parquet and CSV files, wherever fsspec reaches them: which ones an address names, and their rows bit by bit."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import ArrowException

from forecast.columns import READERS, Names, csv_options
from forecast.errors import DataError, ParameterError, Problem
from pipelines.data.address import is_url, without_secrets

BATCH = 1 << 18  # rows read at once


@dataclass(frozen=True)
class Files:
    """Files of one file system.

    Attributes:
        system: fsspec's file system.
        paths: Of the files in it, in order.
        address: What named them, to be shown.
    """

    system: Any
    paths: tuple[str, ...]
    address: str

    @property
    def identity(self) -> list[tuple[str, str]]:
        """What tells the files as they are now from others: the path, and fsspec's key of the contents."""
        return [(path, str(self.system.ukey(path))) for path in self.paths]

    @property
    def are_parquet(self) -> bool:
        """Whether none is a CSV file."""
        return all(kind_of(path) == "Parquet" for path in self.paths)

    def open(self, path: str) -> IO[bytes]:
        """One of them, to read."""
        opened: IO[bytes] = self.system.open(path, "rb")
        return opened

    def batches(self, names: Names) -> Iterator[pa.Table]:
        """The rows, of the columns needed alone, a few hundred thousand at a time.

        Raises:
            DataError: A file cannot be read, or lacks a column that the first one has.
        """
        first: list[str] | None = None
        for path in self.paths:
            with reading(path):
                header = self._header(path)
                try:
                    columns = [name for name in (*names.choose(header), *names.covariates.all) if name is not None]
                except DataError as error:
                    problems = [Problem(f"{path!r}: {one.detail}", one.hint, field=one.field) for one in error.problems]
                    raise DataError(error.code, problems) from None
                first = first or columns
                if columns != first:
                    detail = f"{path!r} holds the columns {columns}, and {self.paths[0]!r} {first}"
                    raise DataError("missing-column", Problem(detail, "give all files the same columns"))
                yield from self._rows(path, names, columns)

    def _header(self, path: str) -> list[str]:
        with self.open(path) as file:
            if kind_of(path) == "Parquet":
                return list(pq.read_schema(file).names)
            return list(map(str, pd.read_csv(file, nrows=0).columns))

    def _rows(self, path: str, names: Names, columns: list[str]) -> Iterator[pa.Table]:
        with self.open(path) as file:
            if kind_of(path) == "Parquet":
                for batch in pq.ParquetFile(file).iter_batches(BATCH, columns=columns):
                    yield pa.table(batch).select(columns)
            else:
                with pd.read_csv(file, chunksize=BATCH, **csv_options(names, columns)) as chunks:
                    for chunk in chunks:
                        yield pa.Table.from_pandas(chunk[columns], preserve_index=False)


def find_files(address: str) -> Files:
    """The files that an address names: one, those of a folder and its folders, or those of a glob.

    Raises:
        DataError: There are none, they cannot be reached, or one is neither Parquet nor CSV.
        ParameterError: Nothing here knows such addresses; names the package that does.
    """
    import fsspec

    shown = without_secrets(address)
    try:
        with reading(shown):
            system, path = fsspec.core.url_to_fs(address)
            if any(sign in path for sign in "*?[") and not system.exists(path):
                found = [
                    one for one in system.glob(path) if one.rpartition("/")[2][0] not in "._" and not system.isdir(one)
                ]
            elif system.isdir(path):
                found = [one for one in system.find(path) if kind_of(one) and not _is_hidden(one, path)]
            else:
                found = [path] if system.exists(path) else []
    except ImportError as error:
        detail = f"{shown!r} cannot be read here: {error}"
        raise ParameterError(Problem(detail, "install the package it names", field="data")) from None
    if not found:
        problem = Problem(f"there is no Parquet or CSV file at {shown!r}", "check the address", field="data")
        raise DataError("no-such-file", problem)
    for one in found:
        if kind_of(one) is None:
            problem = Problem(f"{without_secrets(one)!r} is neither .parquet nor .csv", "name Parquet or CSV files")
            raise DataError("unreadable-file", problem)
    return Files(system, tuple(sorted(found)), shown)


def kind_of(path: str) -> str | None:
    """Whether it is "Parquet" or "CSV", by the name; None for anything else."""
    return READERS.get(PurePosixPath(path.partition("?")[0] if is_url(path) else path).suffix.lower())


def is_one_file(address: str) -> bool:
    """Whether an address is the path of a file on this machine, or of none: no folder, glob or URL."""
    return (
        not is_url(address) and not Path(address).is_dir() and (Path(address).exists() or not set("*?[") & {*address})
    )


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Faults of a file, in this library's words."""
    shown = without_secrets(path)
    try:
        yield
    except (DataError, ImportError):
        raise
    except pd.errors.EmptyDataError:
        raise DataError("empty-table", Problem(f"{shown!r} is empty", "send at least one series")) from None
    except FileNotFoundError:
        raise DataError("no-such-file", Problem(f"there is no file {shown!r}", "check the address")) from None
    except Exception as error:  # each file system has errors of its own
        reason = without_secrets((str(error).strip() or type(error).__name__).splitlines()[0])[:200]
        what = kind_of(path)
        problem = Problem(f"{shown!r} cannot be read{f' as {what}' if what else ''}: {reason}", "check the address")
        raise DataError("unreadable-file", problem) from (error if isinstance(error, ArrowException) else None)


def _is_hidden(path: str, folder: str) -> bool:
    return any(part[0] in "._" for part in PurePosixPath(path).relative_to(folder).parts)
