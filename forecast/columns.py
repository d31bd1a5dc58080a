"""Whatever pandas gives, as three plain columns: long frames, wide frames, single series, files."""

import warnings
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq
from pyarrow import ArrowException

from forecast.calendar import Times
from forecast.errors import DataError, ParameterError, Problem

SYNONYMS = {"item_id": "unique_id", "timestamp": "ds", "target": "y"}
READERS = {".parquet": "Parquet", ".pq": "Parquet", ".csv": "CSV"}
LARGEST = 1e37  # so that sums over a context stay within float32


@dataclass(frozen=True)
class Names:
    """The names of the three columns; None where the caller left it to us."""

    item_id: str | None = None
    timestamp: str | None = None
    target: str | None = None

    def find(self, role: str, found: list[str]) -> str | None:
        """The column that plays a role, or None where there is none."""
        given: str | None = getattr(self, role)
        candidates = (given,) if given else (role, SYNONYMS[role])
        return next((name for name in candidates if name in found), None)

    def require(self, role: str, found: list[str]) -> str:
        """The column that plays a role.

        Raises:
            DataError: There is none ("missing-column").
        """
        name = self.find(role, found)
        if name is None:
            wanted = getattr(self, role) or role
            raise DataError(
                "missing-column",
                Problem(
                    f"there is no column {wanted!r}; found {', '.join(map(repr, found)) or 'none'}",
                    f"name the column that holds the {role}: {role}=... (--{role.replace('_', '-')} on the command line)",
                    field=role,
                ),
            )
        return name


@dataclass(frozen=True)
class Columns:
    """A long table, one entry a row.

    Attributes:
        item_ids: `(N,)` the series' names, in the order of their first appearance.
        codes: `(R,)` which of them each row belongs to.
        times: `(R,)` UTC or zoneless times in microseconds, or plain step numbers.
        target: `(R,)` floats, NaN where missing.
        tz: The zone the times came in.
    """

    item_ids: npt.NDArray[np.object_]
    codes: npt.NDArray[np.int64]
    times: Times
    target: npt.NDArray[np.floating]
    tz: tzinfo | None = None


def read_columns(data: pd.DataFrame | pd.Series | str | Path, names: Names) -> Columns:
    """Read a frame, a series or a file.

    Raises:
        DataError: No such file, an unreadable one, a missing column, an empty table, a timestamp or
            a target that cannot be read.
    """
    if isinstance(data, str | Path):
        frame = _read_file(Path(data), names)
    elif isinstance(data, pd.Series):
        name = data.name if data.name is not None else "series"
        frame = pd.DataFrame({"item_id": name, "timestamp": data.index, "target": data.to_numpy()})
        names = Names()
    elif isinstance(data, pd.DataFrame):
        frame = _long(data, names)
    else:
        raise ParameterError(
            Problem(f"series of type {type(data).__name__} cannot be read", "pass a DataFrame, a Series or a file's path")
        )
    found = [str(column) for column in frame.columns]
    timestamp, target = names.require("timestamp", found), names.require("target", found)
    item_id = names.require("item_id", found) if names.item_id else names.find("item_id", found)
    if not len(frame):
        raise DataError("empty-table", Problem("the table has no rows", "send at least one series"))
    if item_id is None:  # one series: a table of several repeats its timestamps, and is refused for that
        codes, item_ids = np.zeros(len(frame), np.int64), np.array([target], object)
    else:
        codes, item_ids = _item_codes(frame[item_id])
    times, tz = parse_times(frame[timestamp])
    return Columns(item_ids, codes, times, parse_target(frame[target]), tz)


def parse_times(column: pd.Series) -> tuple[Times, tzinfo | None]:
    """Timestamps of any kind pandas has as UTC or zoneless microseconds, and their zone.

    Integers are step numbers. Text must be ISO 8601; where its UTC offsets differ, the zone is UTC.

    Raises:
        DataError: A timestamp is missing or cannot be read ("bad-timestamp").
    """
    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    if pd.api.types.is_integer_dtype(column.dtype) and not column.isna().any():
        return column.to_numpy(np.int64), None
    if not pd.api.types.is_datetime64_any_dtype(column.dtype):
        column = _parse_text_times(column)
    if column.isna().any():
        row = int(np.argmax(column.isna().to_numpy()))
        raise DataError("bad-timestamp", Problem(f"row {row} has no timestamp", "drop the row or date it", field="timestamp"))
    tz = column.dt.tz
    if tz is not None:
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    return column.to_numpy().astype("M8[us]", copy=False), tz


def parse_target(column: pd.Series) -> npt.NDArray[np.floating]:
    """The target as floats, NaN where missing.

    Raises:
        DataError: Text, an infinite value, or one beyond what 32-bit floats can be summed in.
    """
    numbers = column
    if not pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
        numbers = pd.to_numeric(column, errors="coerce") if column.dtype.kind != "b" else column.astype(float)
        text = (numbers.isna() & column.notna()).to_numpy()
        if text.any():
            row = int(np.argmax(text))
            raise DataError(
                "bad-target",
                Problem(
                    f"row {row} has the target {str(column.iloc[row])[:50]!r}, which is not a number "
                    f"({int(text.sum())} such rows)",
                    "send numbers, and nothing (NaN, null) where a value is missing",
                    field="target",
                ),
            )
    kind = np.float32 if numbers.dtype == np.float32 else np.float64
    values: npt.NDArray[np.floating] = numbers.to_numpy(kind, na_value=np.nan)
    return values


def _long(frame: pd.DataFrame, names: Names) -> pd.DataFrame:
    """A long frame as it is, with its index as columns where the columns are there; a wide one melted."""
    if any(name in ("item_id", "timestamp", *SYNONYMS.values(), *vars(names).values()) for name in frame.index.names if name):
        frame = frame.reset_index()
    found = [str(column) for column in frame.columns]
    dated = isinstance(frame.index, pd.DatetimeIndex | pd.PeriodIndex)
    if dated and names.find("timestamp", found) is None:
        if names.find("target", found) is not None:
            return frame.assign(timestamp=frame.index)
        numeric = frame.select_dtypes("number")
        if numeric.shape[1] == frame.shape[1] and numeric.shape[1]:
            return pd.DataFrame(
                {
                    "item_id": pd.Categorical.from_codes(
                        np.repeat(np.arange(numeric.shape[1]), len(frame)), categories=pd.Index(found)
                    ),
                    "timestamp": np.tile(frame.index.to_numpy(), numeric.shape[1])
                    if frame.index.tz is None  # type: ignore[union-attr]
                    else pd.concat([frame.index.to_series()] * numeric.shape[1]).array,
                    "target": numeric.to_numpy(float).ravel(order="F"),
                }
            )
    return frame


def _read_file(path: Path, names: Names) -> pd.DataFrame:
    """The three columns of a Parquet or CSV file, and no others."""
    if not path.exists():
        raise DataError("no-such-file", Problem(f"there is no file {str(path)!r}", "check the path"))
    kind = READERS.get(path.suffix.lower())
    if kind is None:
        raise DataError("unreadable-file", Problem(f"{str(path)!r} is neither .parquet nor .csv", "convert it to one of them"))
    try:
        header = list(pq.read_schema(path).names) if kind == "Parquet" else list(pd.read_csv(path, nrows=0).columns)
        wanted = [names.require(role, header) for role in ("timestamp", "target")]
        item_id = names.require("item_id", header) if names.item_id else names.find("item_id", header)
        columns = [*([item_id] if item_id else []), *wanted]
        if kind == "Parquet":
            return pd.read_parquet(path, columns=columns)
        return pd.read_csv(path, usecols=columns, dtype={item_id: str} if item_id else None)
    except pd.errors.EmptyDataError:
        raise DataError("empty-table", Problem(f"{str(path)!r} is empty", "send at least one series")) from None
    except DataError:
        raise
    except (ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:200]
        raise DataError("unreadable-file", Problem(f"{str(path)!r} cannot be read as {kind}: {reason}", "check the file")) from error


def _item_codes(column: pd.Series) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.object_]]:
    codes, uniques = pd.factorize(column)
    if (codes < 0).any():
        row = int(np.argmax(codes < 0))
        raise DataError("bad-item-id", Problem(f"row {row} has no item_id", "name the series each row belongs to", field="item_id"))
    return codes.astype(np.int64, copy=False), np.asarray(uniques, object)


def _parse_text_times(column: pd.Series) -> pd.Series:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            parsed = pd.to_datetime(column, format="ISO8601", errors="coerce")
        if parsed.dtype.kind != "M":
            raise ValueError
    except (ValueError, TypeError, Warning):
        try:
            parsed = pd.to_datetime(column, format="ISO8601", errors="coerce", utc=True).dt.tz_convert(UTC)
        except (ValueError, TypeError):
            parsed = pd.Series(pd.NaT, index=column.index, dtype="datetime64[us]")
    bad = (parsed.isna() & column.notna()).to_numpy()
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            "bad-timestamp",
            Problem(
                f"row {row} has the timestamp {str(column.iloc[row])[:50]!r}, which is not ISO 8601 (2024-01-31T13:00)",
                "convert the column first, say with pandas.to_datetime(..., format=...)",
                field="timestamp",
            ),
        )
    return parsed
