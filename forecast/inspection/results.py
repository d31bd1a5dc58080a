"""What all results of the inspection have in common: arrays in, a JSON-able summary and tidy tables out."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Result:
    """A frozen dataclass of arrays. `summary()` is for JSON, `table()` for pandas."""

    def summary(self) -> dict[str, Any]:
        """The few numbers that say most, JSON-able: no NaN, no arrays of more than a few values."""
        raise NotImplementedError

    def table(self) -> pd.DataFrame:
        """All of it as a tidy table: one row per observation, one column per variable."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """All of it as nested lists and dicts, JSON-able."""
        return {field.name: jsonable(getattr(self, field.name)) for field in fields(self)}  # type: ignore[arg-type]


def jsonable(value: Any) -> Any:
    """Arrays as lists, results as dicts, times as ISO text, and what is no number as None."""
    if isinstance(value, Result):
        return value.to_json()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: jsonable(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): jsonable(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist())
    if isinstance(value, list | tuple | pd.Index):
        return [jsonable(one) for one in value]
    if isinstance(value, complex):
        return [jsonable(value.real), jsonable(value.imag)]
    if isinstance(value, np.generic):
        return jsonable(value.item())
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return value


def by_member(tables: Iterable[tuple[str, Mapping[str, pd.DataFrame]]]) -> dict[str, pd.DataFrame]:
    """Tables of several networks, below each other under their names, with a column `member`.

    Args:
        tables: Each network's name and its tables; a name may come again with further ones.
    """
    parts: dict[str, list[pd.DataFrame]] = {}
    for member, found in tables:
        for name, frame in found.items():
            parts.setdefault(name, []).append(frame.assign(member=member))
    return {name: pd.concat(frames, ignore_index=True) for name, frames in parts.items()}


def grid(values: Floats, name: str, *axes: tuple[str, Any]) -> pd.DataFrame:
    """An array as a tidy table.

    Args:
        values: An array of any number of dimensions.
        name: The column its values go to.
        axes: The name and the labels of each dimension, in their order.
    """
    index = pd.MultiIndex.from_product([np.asarray(labels) for _, labels in axes], names=[axis for axis, _ in axes])
    return pd.DataFrame({name: np.asarray(values).ravel()}, index=index).reset_index()
