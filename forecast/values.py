"""One column of whatever pandas gives, as a plain array: times, numbers, categories."""

import re
from collections.abc import Sequence
from datetime import UTC, timedelta, timezone, tzinfo
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecast.calendar import Times
from forecast.errors import DataError, Problem

LARGEST = 1e33  # forecasts of the wildest series reach some hundred times as far, and stay within float32
UTC_OFFSET = r"[T ].*(?:Z|[+-]\d\d(?::?\d\d)?)$"  # at the end of an ISO 8601 time
OFFSET = re.compile(r"Z$|[+-](?:0[0-9]|1[0-4]):[0-5][0-9]$")
NUMERIC = ("boolean", "integer", "floating", "mixed-integer-float", "decimal", "empty")  # as pandas infers them


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


def parse_time_texts(texts: Sequence[str]) -> tuple[Times, tzinfo | None]:
    """What `parse_times` gives for a column of text, in a tenth of the time where there are few.

    Raises:
        DataError: A timestamp cannot be read ("bad-timestamp").
    """
    return _usual_times(texts) or parse_times(pd.Series(texts, dtype=object))


def parse_numbers(column: pd.Series, name: str = "target", code: str = "bad-target") -> npt.NDArray[np.floating]:
    """A column of numbers or booleans as floats, NaN where missing.

    Args:
        column: Any column; text is read as numbers.
        name: What it is, to be named in an error.
        code: The error's code.

    Raises:
        DataError: Something is not a number.
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
                code,
                Problem(
                    f"row {row} has the {name} {str(column.iloc[row])[:50]!r}, which is not a number{others}",
                    "send numbers, and nothing (NaN, null) where a value is missing",
                    field=name,
                ),
            )
        column = numbers
    kind = np.float32 if column.dtype == np.float32 else np.float64
    if isinstance(column.dtype, np.dtype):
        return column.to_numpy(kind)
    return column.to_numpy(kind, na_value=np.nan)


def is_text(column: pd.Series, name: str) -> bool:
    """Whether a column holds categories rather than numbers.

    Raises:
        DataError: It holds both, or neither ("bad-covariate").
    """
    if isinstance(column.dtype, pd.CategoricalDtype | pd.StringDtype):
        return True
    if pd.api.types.is_numeric_dtype(column.dtype) and column.dtype.kind != "c":
        return False
    found = pd.api.types.infer_dtype(column, skipna=True)
    if found in NUMERIC or found == "string":
        return found == "string"
    detail = f"the covariate {name!r} holds {found.removesuffix('64')} values"
    raise DataError("bad-covariate", Problem(detail, "make it numbers, booleans or text", field=name))


def parse_categories(column: pd.Series) -> tuple[npt.NDArray[np.floating], tuple[str, ...]]:
    """A column as the numbers of its categories, NaN where missing, and the categories as text."""
    codes, labels = pd.factorize(_plain(column))
    whole = (int(label) if isinstance(label, float) and label.is_integer() else label for label in labels)
    places, texts = pd.factorize(np.array([str(label) for label in whole], object))  # 1 and "1" are the same
    return np.append(places, np.nan)[codes], tuple(texts)


def _plain(column: pd.Series) -> pd.Series:
    """The column without categories or Python objects, where pandas knows a better type for them."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    return column.infer_objects()


def _usual_times(texts: Sequence[str]) -> tuple[Times, tzinfo | None] | None:
    """Times written in the usual way, all with one UTC offset or none; None for all others, and for no times."""
    if not texts:
        return None
    found = OFFSET.search(texts[0], 10)
    suffix = found[0] if found else ""
    lines = "\n".join([*texts, ""])
    if not _lines_with(suffix).fullmatch(lines):
        return None
    try:
        times = np.array(lines.replace(suffix + "\n", "\n").splitlines(), "M8[us]")
    except ValueError:  # no such day
        return None
    if not suffix:
        return times, None
    if suffix == "Z":
        return times, UTC
    hours, minutes = int(suffix[:3]), int(suffix[0] + suffix[4:])
    offset = timedelta(hours=hours, minutes=minutes)
    return times - np.timedelta64(offset, "us"), timezone(offset) if offset else UTC


@lru_cache(64)
def _lines_with(suffix: str) -> re.Pattern[str]:
    """Lines of times that end in a UTC offset; without one, they may be days."""
    clock = "[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2})?"
    clock += re.escape(suffix) if suffix else "|"
    return re.compile(rf"(?:(?!0000)[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(?:{clock})\n)+")


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
