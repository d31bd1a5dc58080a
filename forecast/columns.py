"""Whatever pandas gives, as three plain columns: long frames, wide frames, single series, files."""

from dataclasses import dataclass, replace
from datetime import tzinfo
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq
from pyarrow import ArrowException

from forecast.calendar import Times
from forecast.errors import DataError, ParameterError, Problem

SYNONYMS = {"item_id": "unique_id", "timestamp": "ds", "target": "y"}
MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")  # in a CSV file's target
READERS = {".parquet": "Parquet", ".pq": "Parquet", ".csv": "CSV"}
UTC_OFFSET = r"[T ].*(?:Z|[+-]\d\d(?::?\d\d)?)$"  # at the end of an ISO 8601 time
LARGEST = 1e37  # so that a few times a value stays within float32


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
                    f"name the column with the {role}: {role}=... (--{role.replace('_', '-')} on the command line)",
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
        ParameterError: The data are none of these.
    """
    if isinstance(data, str | Path):
        frame = _long(_read_file(Path(data), names), names)
    elif isinstance(data, pd.Series):
        frame = _series(data, names)
        names = replace(names, target=None)
    elif isinstance(data, pd.DataFrame):
        frame = _long(data, names)
    else:
        raise ParameterError(
            Problem(
                f"series of type {type(data).__name__} cannot be read", "pass a DataFrame, a Series or a file's path"
            )
        )
    found = list(frame.columns)
    timestamp, target = names.require("timestamp", found), names.require("target", found)
    item_id = names.require("item_id", found) if names.item_id else names.find("item_id", found)
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
    column = _plain(column)
    if column.isna().any():
        row = int(np.argmax(column.isna().to_numpy()))
        problem = Problem(f"row {row} has no timestamp", "drop the row or date it", field="timestamp")
        raise DataError("bad-timestamp", problem)
    if pd.api.types.is_integer_dtype(column.dtype):
        return column.to_numpy(np.int64), None
    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    if not pd.api.types.is_datetime64_any_dtype(column.dtype):
        column = _parse_text_times(column.astype(str))
    tz = column.dt.tz
    if tz is not None:
        column = column.dt.tz_convert(None)
    return column.to_numpy().astype("M8[us]", copy=False), tz


def parse_target(column: pd.Series) -> npt.NDArray[np.floating]:
    """The target as floats, NaN where missing.

    Raises:
        DataError: Something is not a number ("bad-target").
    """
    column = _plain(column)
    numeric = pd.api.types.is_numeric_dtype(column.dtype) and column.dtype.kind != "c"
    if not numeric:
        is_text = pd.api.types.is_string_dtype(column.dtype) or pd.api.types.is_object_dtype(column.dtype)
        numbers = pd.to_numeric(column if is_text else column.astype(str), errors="coerce")
        bad = (numbers.isna() & column.notna()).to_numpy()
        if bad.any():
            row = int(np.argmax(bad))
            others = f" ({int(bad.sum())} such rows)" if bad.sum() > 1 else ""
            raise DataError(
                "bad-target",
                Problem(
                    f"row {row} has the target {str(column.iloc[row])[:50]!r}, which is not a number{others}",
                    "send numbers, and nothing (NaN, null) where a value is missing",
                    field="target",
                ),
            )
        column = numbers
    kind = np.float32 if column.dtype == np.float32 else np.float64
    if isinstance(column.dtype, np.dtype):
        return column.to_numpy(kind)
    return column.to_numpy(kind, na_value=np.nan)


def _plain(column: pd.Series) -> pd.Series:
    """The column without categories or Python objects, where pandas knows a better type for them."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    return column.infer_objects()


def _series(series: pd.Series, names: Names) -> pd.DataFrame:
    """One series, named as it is; or several, told apart by a level of the index."""
    if isinstance(series.index, pd.MultiIndex):
        return _long(series.to_frame("target"), replace(names, target=None))
    name = pd.Index(["series" if series.name is None else series.name])
    item_id = pd.Categorical.from_codes(np.zeros(len(series), np.int8), categories=name)
    found = {role: getattr(names, role) or role for role in ("item_id", "timestamp")}
    return pd.DataFrame(
        {found["item_id"]: item_id, found["timestamp"]: series.index, "target": series.array}, copy=False
    )


def _long(frame: pd.DataFrame, names: Names) -> pd.DataFrame:
    """A frame with the three columns: taken from the index where they are there, melted where it is wide."""
    found = [str(column) for column in frame.columns]
    twice = next((name for name in found if found.count(name) > 1), None) if len(set(found)) < len(found) else None
    if twice is not None:
        problem = Problem(f"{found.count(twice)} columns are named {twice!r}", "rename or drop all but one")
        raise DataError("duplicate-column", problem)
    frame = frame.set_axis(found, axis=1)
    dated = isinstance(frame.index, pd.DatetimeIndex | pd.PeriodIndex)
    is_wide = dated and names.target is None and not any(names.find(role, found) for role in SYNONYMS)
    if is_wide and found and all(map(pd.api.types.is_numeric_dtype, frame.dtypes)):
        return _melt(frame)
    levels = [str(name) for name in frame.index.names]
    roles = [role for role in ("item_id", "timestamp") if names.find(role, found) is None and names.find(role, levels)]
    if roles:
        frame = frame.reset_index()
    if dated and "timestamp" not in roles and names.find("timestamp", found) is None:
        frame = frame.assign(**{names.timestamp or "timestamp": frame.index})
    return frame


def _melt(frame: pd.DataFrame) -> pd.DataFrame:
    """A wide frame, a column per series, as a long one."""
    rows, columns = frame.shape
    return pd.DataFrame(
        {
            "item_id": pd.Categorical.from_codes(np.repeat(np.arange(columns), rows), categories=frame.columns),
            "timestamp": frame.index.take(np.tile(np.arange(rows), columns)),
            "target": frame.to_numpy(float, na_value=np.nan).ravel(order="F"),
        }
    )


def _read_file(path: Path, names: Names) -> pd.DataFrame:
    """The three columns of a Parquet or CSV file, and no others."""
    if not path.exists():
        raise DataError("no-such-file", Problem(f"there is no file {str(path)!r}", "check the path"))
    kind = READERS.get(path.suffix.lower())
    if path.is_dir() or kind is None:
        what = "a folder" if path.is_dir() else "neither .parquet nor .csv"
        raise DataError("unreadable-file", Problem(f"{str(path)!r} is {what}", "name a Parquet or CSV file"))
    try:
        header = list(pq.read_schema(path).names) if kind == "Parquet" else list(pd.read_csv(path, nrows=0).columns)
        timestamp, target = names.require("timestamp", header), names.require("target", header)
        item_id = names.require("item_id", header) if names.item_id else names.find("item_id", header)
        columns = [name for name in (item_id, timestamp, target) if name is not None]
        if kind == "Parquet":
            return pd.read_parquet(path, columns=columns)
        return pd.read_csv(
            path,
            usecols=columns,
            dtype={item_id: str} if item_id else None,
            # A series may well be called "NA".
            keep_default_na=False,
            na_values={timestamp: [""], target: list(MISSING), **({item_id: [""]} if item_id else {})},
        )
    except pd.errors.EmptyDataError:
        raise DataError("empty-table", Problem(f"{str(path)!r} is empty", "send at least one series")) from None
    except DataError:
        raise
    except (ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:200]
        problem = Problem(f"{str(path)!r} cannot be read as {kind}: {reason}", "check the file")
        raise DataError("unreadable-file", problem) from error


def _item_codes(column: pd.Series) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.object_]]:
    try:
        codes, uniques = pd.factorize(column)
    except TypeError:
        problem = Problem("item ids must be text or numbers", "turn them into text", field="item_id")
        raise DataError("bad-item-id", problem) from None
    if (codes < 0).any():
        row = int(np.argmax(codes < 0))
        problem = Problem(f"row {row} has no item_id", "name the series each row belongs to", field="item_id")
        raise DataError("bad-item-id", problem)
    return codes.astype(np.int64, copy=False), np.asarray(uniques, object)


def _parse_text_times(text: pd.Series) -> pd.Series:
    try:
        parsed = pd.to_datetime(text, format="ISO8601", errors="coerce")
    except ValueError:  # UTC offsets differ, or are there in part
        parsed = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True)
        local = ~text.str.contains(UTC_OFFSET, regex=True).to_numpy(bool)
        if local.any():
            raise _bad_time(
                text, local, "without a UTC offset, others have one", "give all of them an offset"
            ) from None
    bad = (parsed.isna() | text.isin(("now", "today"))).to_numpy()  # words that pandas reads as times
    if bad.any():
        hint = "convert the column first, say with pandas.to_datetime(..., format=...); whole numbers count steps"
        raise _bad_time(text, bad, "which is not ISO 8601 (2024-01-31T13:00)", hint)
    return parsed


def _bad_time(text: pd.Series, bad: npt.NDArray[np.bool_], fault: str, hint: str) -> DataError:
    row = int(np.argmax(bad))
    detail = f"row {row} has the timestamp {text.iloc[row][:50]!r}, {fault}"
    return DataError("bad-timestamp", Problem(detail, hint, field="timestamp"))
