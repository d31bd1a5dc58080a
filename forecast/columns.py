"""Whatever pandas gives, as plain columns: long frames, wide frames, single series, files."""

from dataclasses import dataclass, replace
from datetime import tzinfo
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq
from pyarrow import ArrowException

from forecast.calendar import Times
from forecast.covariates import NO_COVARIATES, CovariateColumns, CovariateNames
from forecast.errors import DataError, ParameterError, Problem
from forecast.values import parse_numbers, parse_times

SYNONYMS = {"item_id": "unique_id", "timestamp": "ds", "target": "y"}
MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")  # in a CSV file's target and covariates
READERS = {".parquet": "Parquet", ".pq": "Parquet", ".csv": "CSV"}


@dataclass(frozen=True)
class Names:
    """The names of the columns; None where the caller left it to us.

    Attributes:
        item_id, timestamp, target: The three that every table has.
        covariates: Those beside them.
        has_target: Whether there are values at all: a table of what is known in advance has none.
    """

    item_id: str | None = None
    timestamp: str | None = None
    target: str | None = None
    covariates: CovariateNames = NO_COVARIATES
    has_target: bool = True

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

    def choose(self, found: list[str]) -> tuple[str | None, str, str | None]:
        """The columns of item ids, times and values; None for item ids that are not there, and for no target.

        Raises:
            DataError: A column is not there, covariates among them, or one is asked to be two things
                ("missing-column", "duplicate-column").
        """
        timestamp = self.require("timestamp", found)
        target = self.require("target", found) if self.has_target else None
        item_id = self.require("item_id", found) if self.item_id else self.find("item_id", found)
        for name in self.covariates.all:
            if name not in found:
                detail = f"there is no column {name!r}, a covariate; found {', '.join(map(repr, found)) or 'none'}"
                raise DataError("missing-column", Problem(detail, "add it to the table", field=name))
            if name in (item_id, timestamp, target):
                detail = f"the column {name!r} is named as a covariate, but holds the series' own data"
                raise DataError("duplicate-column", Problem(detail, "take it out of the covariates", field=name))
        return item_id, timestamp, target


@dataclass(frozen=True)
class Columns:
    """A long table, one entry a row.

    Attributes:
        item_ids: `(N,)` the series' names, in the order of their first appearance.
        codes: `(R,)` which of them each row belongs to.
        times: `(R,)` UTC or zoneless times in microseconds, or plain step numbers.
        target: `(R,)` floats, NaN where missing.
        tz: The zone the times came in.
        covariates: The columns beside these, where there are any.
    """

    item_ids: npt.NDArray[np.object_]
    codes: npt.NDArray[np.int64]
    times: Times
    target: npt.NDArray[np.floating]
    tz: tzinfo | None = None
    covariates: CovariateColumns | None = None

    def select(self, series: npt.NDArray[np.int64]) -> Self:
        """The rows of the series at `series`, ascending."""
        kept = np.zeros(len(self.item_ids), bool)
        kept[series] = True
        rows = np.flatnonzero(kept[self.codes])
        codes = np.cumsum(kept)[self.codes[rows]] - 1
        covariates = self.covariates and self.covariates.take(rows)
        return replace(
            self,
            item_ids=self.item_ids[series],
            codes=codes,
            times=self.times[rows],
            target=self.target[rows],
            covariates=covariates,
        )


def read_columns(data: pd.DataFrame | pd.Series | str | Path, names: Names) -> Columns:
    """Read a frame, a series or a file.

    Without a column of item ids all rows are one series, named as its target; without a target it has no name.

    Raises:
        DataError: No such file, an unreadable one, a missing column, an empty table, a timestamp,
            a target or a covariate that cannot be read.
        ParameterError: The data are none of these.
    """
    if isinstance(data, str | Path):
        frame = _long(read_file(Path(data), names), names)
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
    item_id, _, target = names.choose(list(frame.columns))
    if item_id is None:  # one series: a table of several repeats its timestamps, and is refused for that
        codes, item_ids = np.zeros(len(frame), np.int64), np.array([target], object)
    else:
        codes, item_ids = _item_codes(frame[item_id])
    return parse_columns(frame, names, item_ids, codes)


def parse_columns(
    frame: pd.DataFrame, names: Names, item_ids: npt.NDArray[np.object_], codes: npt.NDArray[np.int64]
) -> Columns:
    """Read all columns but the item ids, which are known.

    Args:
        frame: R rows.
        names: The names of its columns.
        item_ids: `(N,)` the series' names.
        codes: `(R,)` which of them each row belongs to.

    Raises:
        DataError: As `read_columns`.
    """
    _, timestamp, target = names.choose(list(frame.columns))
    times, tz = parse_times(frame[timestamp])
    values = np.full(len(frame), np.nan, np.float32) if target is None else parse_numbers(frame[target])
    wanted = names.covariates
    columns = {name: frame[name] for name in wanted.all}
    covariates = CovariateColumns.parse(columns, wanted, len(frame)) if wanted.all else None
    return Columns(item_ids, codes, times, values, tz, covariates)


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
    named = any(names.find(role, found) for role in SYNONYMS) or any(name in found for name in names.covariates.all)
    is_wide = dated and names.target is None and not named
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


def read_file(path: Path, names: Names) -> pd.DataFrame:
    """The columns wanted of a Parquet or CSV file, and no others.

    Raises:
        DataError: There is no such file, it cannot be read, or it lacks a column.
    """
    if not path.exists():
        raise DataError("no-such-file", Problem(f"there is no file {str(path)!r}", "check the path"))
    kind = READERS.get(path.suffix.lower())
    if path.is_dir() or kind is None:
        what = "a folder" if path.is_dir() else "neither .parquet nor .csv"
        raise DataError("unreadable-file", Problem(f"{str(path)!r} is {what}", "name a Parquet or CSV file"))
    try:
        header = list(pq.read_schema(path).names) if kind == "Parquet" else list(pd.read_csv(path, nrows=0).columns)
        columns = [name for name in (*names.choose(header), *names.covariates.all) if name is not None]
        if kind == "Parquet":
            return pd.read_parquet(path, columns=columns)
        frame: pd.DataFrame = pd.read_csv(path, **csv_options(names, columns))
        return frame
    except pd.errors.EmptyDataError:
        raise DataError("empty-table", Problem(f"{str(path)!r} is empty", "send at least one series")) from None
    except DataError:
        raise
    except (ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:200]
        problem = Problem(f"{str(path)!r} cannot be read as {kind}: {reason}", "check the file")
        raise DataError("unreadable-file", problem) from error


def csv_options(names: Names, columns: list[str]) -> dict[str, Any]:
    """How pandas reads those columns of a CSV file: item ids as text, and "NA" a series' name but no value."""
    item_id, timestamp, _ = names.choose(columns)
    return {
        "usecols": columns,
        "dtype": {item_id: str} if item_id else None,
        "keep_default_na": False,
        "na_values": {name: [""] if name in (item_id, timestamp) else list(MISSING) for name in columns},
    }


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
