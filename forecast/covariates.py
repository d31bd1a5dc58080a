"""Covariates: columns beside the target, as numbers on the series' own grids.

Nothing is learnt here: numbers stay what they are and text becomes the number of its category. What a
network reads of them is made by `covariate_features.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecast.calendar import Ints
from forecast.config import CovariatesConfig
from forecast.errors import PROBLEMS_TOLD, DataError, Problem
from forecast.values import LARGEST, is_text, parse_categories, parse_numbers

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class CovariateNames:
    """Which columns of a table are covariates.

    Attributes:
        varying: Those with a value for each step.
        static: Those that are the same in all rows of a series.
        text: Whether a column holds categories, where that is decided already; else its type says so.
    """

    varying: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    text: Mapping[str, bool] | None = None

    @classmethod
    def of(cls, config: CovariatesConfig) -> Self:
        """The columns that a model's settings name; a trained model's are read as they were in training."""
        decided = {**dict.fromkeys(config.scales, False), **dict.fromkeys(config.categories, True)}
        return cls(config.varying, config.static, decided)

    @property
    def all(self) -> tuple[str, ...]:
        """All columns."""
        return self.varying + self.static


NO_COVARIATES = CovariateNames()


@dataclass(frozen=True)
class CovariateColumns:
    """Covariates of a long table, one entry a row.

    Attributes:
        names: Which they are: V varying, S static.
        values: `(R, V + S)` numbers, NaN where missing; of text the number of its category.
        categories: The categories of each column of text.
    """

    names: CovariateNames
    values: Floats
    categories: dict[str, tuple[str, ...]]

    @classmethod
    def parse(cls, columns: Mapping[str, pd.Series], names: CovariateNames, rows: int) -> Self:
        """Read columns.

        Args:
            columns: By name, of R rows each.
            names: Which to read.
            rows: R.

        Raises:
            DataError: A value is not what its column holds, infinite or beyond 1e33 ("bad-covariate").
        """
        values = np.empty((rows, len(names.all)), np.float32)
        categories = {}
        for place, name in enumerate(names.all):
            column = columns[name]
            decided = (names.text or {}).get(name)
            if is_text(column, name) if decided is None else decided:
                values[:, place], categories[name] = parse_categories(column)
                continue
            numbers = parse_numbers(column, name, "bad-covariate")
            large = np.abs(numbers) > LARGEST
            if large.any():
                row = int(np.argmax(large))
                detail = f"row {row} has the {name} {numbers[row]:g}, which is beyond {LARGEST:.0e}"
                raise DataError("bad-covariate", Problem(detail, "send a number, or nothing where missing", field=name))
            values[:, place] = numbers
        return cls(names, values, categories)

    def take(self, rows: Ints) -> Self:
        """These rows, in this order."""
        return replace(self, values=self.values[rows])

    def lay_out(self, places: Ints | None, offsets: Ints, lengths: Ints, static: Floats) -> "Covariates":
        """Put the varying columns on series' grids.

        Args:
            places: `(R,)` where on the flat grid each row lies; None where the rows are the grid.
            offsets: `(N,)` where on it each series begins.
            lengths: `(N,)` its steps.
            static: `(N, S)`.
        """
        values = np.ascontiguousarray(self.values[:, : len(self.names.varying)])
        if places is not None:
            rows, values = values, np.full((lengths.sum(), values.shape[1]), np.nan, np.float32)
            values[places] = rows
        return Covariates(self.names, values, offsets, lengths, static, self.categories)

    def static(self, item_ids: npt.NDArray[np.object_], codes: Ints) -> Floats:
        """What each series holds in its static columns; rows that hold nothing are passed over.

        Args:
            item_ids: `(N,)`.
            codes: `(R,)` which series each row belongs to, ascending.

        Returns:
            `(N, S)`, NaN where missing.

        Raises:
            DataError: A column changes within a series ("bad-covariate").
        """
        first = len(self.names.varying)
        out = np.full((len(item_ids), len(self.names.static)), np.nan, np.float32)
        for place, name in enumerate(self.names.static):
            column = self.values[:, first + place]
            there = np.flatnonzero(~np.isnan(column))
            series, at = np.unique(codes[there], return_index=True)
            out[series, place] = column[there[at]]
            changed = there[column[there] != out[codes[there], place]]
            if len(changed):
                raise self._varies(name, item_ids, codes, changed, out[:, place])
        return out

    def _varies(
        self, name: str, item_ids: npt.NDArray[np.object_], codes: Ints, changed: Ints, values: Floats
    ) -> DataError:
        labels = self.categories.get(name)
        column = self.values[:, self.names.all.index(name)]

        def shown(value: np.float32) -> str:
            return repr(labels[int(value)]) if labels else f"{value:g}"

        series, at = np.unique(codes[changed], return_index=True)
        problems = [
            Problem(
                f"{item_ids[code]!r} has the {name} {shown(column[row])} in its row "
                f"{int(row - np.searchsorted(codes, code)) + 1}, {shown(values[code])} before",
                f"a static covariate is one value for a series; where {name!r} changes, name it as known or past",
                str(item_ids[code]),
                name,
            )
            for code, row in zip(series[:PROBLEMS_TOLD], changed[at][:PROBLEMS_TOLD], strict=True)
        ]
        return DataError("bad-covariate", problems)


@dataclass(frozen=True)
class Covariates:
    """Covariates of N series, on the same grids, from each series' first step on.

    Attributes:
        names: V varying, S static.
        values: `(P, V)` all series one after the other, NaN where missing; of text the number of its category.
        offsets: `(N,)` where each series begins in `values`.
        lengths: `(N,)` steps of each series. Those beyond the series' own end are its known future.
        static: `(N, S)` likewise.
        categories: The categories of each column of text.
    """

    names: CovariateNames
    values: Floats
    offsets: Ints
    lengths: Ints
    static: Floats
    categories: dict[str, tuple[str, ...]]

    def select(self, index: Ints | npt.NDArray[np.bool_]) -> Self:
        """Those of the series at `index`, sharing the values."""
        return replace(self, offsets=self.offsets[index], lengths=self.lengths[index], static=self.static[index])

    def skip(self, steps: Ints) -> Self:
        """Without the first steps of each series, `(N,)`, sharing the values."""
        return replace(self, offsets=self.offsets + steps, lengths=self.lengths - steps)


def require(covariates: Covariates | None, name: str) -> Covariates:
    """A table's covariates, with this one among them.

    Raises:
        DataError: The series were read without it ("missing-covariate").
    """
    if covariates is None or name not in covariates.names.all:
        detail = f"the series come without the covariate {name!r}"
        hint = "name it when they are read: read_series(..., covariates=model.config.covariates)"
        raise DataError("missing-covariate", Problem(detail, hint, field=name))
    return covariates
