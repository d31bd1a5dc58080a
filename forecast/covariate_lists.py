"""Covariates series by series, as lists of plain values: what JSON holds, in a request and in a golden input."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from forecast.config import CovariatesConfig
from forecast.covariates import CovariateColumns, CovariateNames
from forecast.future import extend
from forecast.table import SeriesTable

Value = float | str | bool | None


@dataclass(frozen=True)
class CovariateLists:
    """The covariates of one series; None is a missing value.

    Attributes:
        past: For each that varies, in advance known or not, a value for each of the target's.
        future: For each known in advance, a value for each step after the series' end.
        static: For each static one its value.
    """

    past: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    future: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    static: Mapping[str, Value] = field(default_factory=dict)


def columns_of(series: Sequence[CovariateLists], lengths: Sequence[int], config: CovariatesConfig) -> CovariateColumns:
    """The past of N series as columns, a row for each value of their targets.

    Args:
        series: N series, each with every covariate.
        lengths: How many values the target of each has.
        config: A trained model's covariates.

    Raises:
        DataError: A value is not what the column holds ("bad-covariate").
    """
    names = CovariateNames.of(config)
    columns = {name: _concatenated(one.past[name] for one in series) for name in names.varying}
    for name in names.static:
        repeated = ([one.static[name]] * length for one, length in zip(series, lengths, strict=True))
        columns[name] = _concatenated(repeated)
    return CovariateColumns.parse(columns, names, sum(lengths))


def with_future(table: SeriesTable, series: Sequence[CovariateLists], config: CovariatesConfig) -> SeriesTable:
    """A table of N series with what is known of the steps after their ends.

    Args:
        table: The series, with covariates.
        series: The same series, in the same order; each has as many values of every covariate known in advance.
        config: A trained model's covariates.

    Raises:
        DataError: A value is not what the column holds ("bad-covariate").
    """
    if not config.known:
        return table
    names = CovariateNames(config.known, text=CovariateNames.of(config).text)
    columns = {name: _concatenated(one.future[name] for one in series) for name in config.known}
    lengths = np.array([len(one.future[config.known[0]]) for one in series])
    rows = CovariateColumns.parse(columns, names, int(lengths.sum()))
    ahead = np.arange(lengths.sum()) - np.repeat(lengths.cumsum() - lengths, lengths)
    return extend(table, rows, np.repeat(np.arange(len(series)), lengths), ahead)


def _concatenated(parts: Iterable[Sequence[Value]]) -> pd.Series:
    return pd.Series([value for part in parts for value in part], dtype=object)
