"""Telling the series that can be forecast from those that cannot, without looking at each by itself."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from forecast.calendar import Ints
from forecast.errors import DataError, Problem
from forecast.predictor import Predictor
from forecast.table import SeriesTable

Made = TypeVar("Made")
Make = Callable[[Ints], Made]
"""Makes something of some series, or raises a `DataError`."""


class Fault(NamedTuple):
    """Why a series is left out: the code of an error, and one of its problems."""

    code: str
    problem: Problem


Faults = dict[int, Fault]
"""By the number of the series."""


def make_of_good(
    count: int, names: Callable[[Ints], Sequence[object]], make: Make[Made]
) -> tuple[Made | None, Ints, Faults]:
    """What can be made of series, without those that prevent it.

    An error names some series: these are taken out, and both halves of the others are tried again.

    Args:
        count: N series.
        names: Their item ids, each of its own; asked for when something is wrong.
        make: Is given which series are left, ascending.

    Returns:
        What was made, None where no series is left; of which series; and what is wrong with the others.
    """
    faults: Faults = {}
    kept = np.arange(count)
    while len(kept):
        try:
            return make(kept), kept, faults
        except DataError as error:
            found = _blame(error, kept, names, make)
            # Where only all of them together are wrong, none of them is to be trusted.
            faults |= found or {int(series): Fault(error.code, error.problems[0]) for series in kept}
            kept = np.setdiff1d(kept, list(faults))
    return None, kept, faults


def _blame(error: DataError, series: Ints, names: Callable[[Ints], Sequence[object]], make: Make[Made]) -> Faults:
    """Which of these series nothing can be made of, given the error that all of them together gave."""
    found = faults_of(error, names(series), series)
    if not found and len(series) == 1:
        found = {int(series[0]): Fault(error.code, error.problems[0])}
    rest = np.setdiff1d(series, list(found))
    for half in np.array_split(rest, 2):
        if len(half):
            try:
                make(half)
            except DataError as other:
                found |= _blame(other, half, names, make)
    return found


def forecast_good(
    model: Predictor, table: SeriesTable, prediction_length: int, quantile_levels: Sequence[float]
) -> tuple[npt.NDArray[np.float32], SeriesTable, Ints, Faults]:
    """Forecast the series that a model can.

    Returns:
        The forecasts, the table of these series, which of the given table's they are, and what others lack.

    Raises:
        DataError: The table as a whole cannot be forecast: it is of another frequency.
    """
    faults: Faults = {}
    kept = np.arange(len(table))
    while len(kept):
        some = table.select(kept)
        try:
            return model.forecast(some, prediction_length, quantile_levels), some, kept, faults
        except DataError as error:
            found = faults_of(error, some.item_ids, kept)
            if not found:
                raise
            faults |= found
            kept = np.setdiff1d(kept, list(faults))
    return np.empty((0, prediction_length, 1 + len(quantile_levels)), np.float32), table.select(kept), kept, faults


def faults_of(error: DataError, item_ids: Sequence[object] | npt.NDArray[np.object_], series: Ints) -> Faults:
    """What an error says of these series, named by their ids."""
    places = {str(item_id): int(place) for item_id, place in zip(item_ids, series, strict=True)}
    found: Faults = {}
    for problem in error.problems:
        if problem.item_id in places:
            found.setdefault(places[problem.item_id], Fault(error.code, problem))
    return found
