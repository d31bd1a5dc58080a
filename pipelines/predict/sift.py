"""Telling the series that can be forecast from those that cannot, without looking at each by itself."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from forecast.calendar import Frequency, Ints, infer_frequency, keeps_longer_step
from forecast.columns import Columns
from forecast.config import CovariatesConfig
from forecast.errors import PROBLEMS_TOLD, DataError, Problem
from forecast.forecaster import Forecaster
from forecast.future import read_future
from forecast.series import lay_out
from forecast.table import SeriesTable
from pipelines.predict.pieces import Piece

LOT = 256  # series looked at together to find what they have in common


class Fault(NamedTuple):
    """Why a series is left out: the code of an error, and one of its problems."""

    code: str
    problem: Problem


Faults = dict[int, Fault]
"""By the number of the series in its piece."""


@dataclass(frozen=True)
class Clock:
    """What is the same for all series of a table.

    Attributes:
        frequency: Their grid.
        given: Whether the caller named it: then a series that steps more rarely has gaps, else it is of another
            frequency.
        example: A series' table that tells the zone; None where no series can be read.
    """

    frequency: Frequency
    given: bool
    example: SeriesTable | None

    @classmethod
    def find(cls, pieces: Iterable[Piece], freq: str | None, model: Forecaster) -> "Clock":
        """Read it off the first series that can be read; its frequency is the one given, else the model's.

        Raises:
            ParameterError: `freq` is not a frequency.
        """
        wanted = Frequency.parse(freq or model.config.frequency or "step")
        for piece in pieces:
            for lot in (np.arange(min(len(piece), LOT)), *np.arange(len(piece))[:, None]):
                try:
                    columns = piece.select(lot).columns()
                    known = freq is not None or (wanted.kind != "step" and columns.times.dtype.kind == "M")
                    table = lay_out(columns, wanted if known else None)
                except DataError:
                    continue
                return cls(table.frequency, freq is not None, table)
        return cls(wanted, freq is not None, None)

    def lay_out(self, piece: Piece, covariates: CovariatesConfig) -> SeriesTable:
        """Check a piece's series and put them on the grid, with what is known of their future.

        Raises:
            DataError: A series cannot be used.
        """
        columns = piece.columns()
        if self.example is not None and (columns.tz is None) != (self.example.tz is None):
            here, there = ("without", "with") if columns.tz is None else ("with", "without")
            detail = f"the timestamps are {here} a UTC offset, those of {self.example.item_ids[0]!r} {there}"
            problem = Problem(detail, "give all of them an offset, or none", field="timestamp")
            raise DataError("bad-timestamp", problem)
        table = lay_out(columns, self.frequency)
        if not self.given:
            self._check_steps(columns, table, piece.counts)
        if piece.future is not None:
            table = read_future(piece.future, table, covariates, item_id=piece.future_id)
        return table

    def _check_steps(self, columns: Columns, table: SeriesTable, counts: Ints) -> None:
        """Refuse series that step evenly, but more rarely than the others."""
        gaps = np.flatnonzero(table.lengths > counts)
        if not len(gaps):
            return
        some = columns.select(gaps)
        order = np.lexsort((some.times, some.codes))
        times = table.grid_times(some.times[order])
        first = np.cumsum(counts[gaps]) - counts[gaps]
        longer = np.flatnonzero(keeps_longer_step(self.frequency, times, first))
        if not len(longer):
            return
        problems = []
        for place in longer[:PROBLEMS_TOLD]:
            own = times[first[place] : first[place] + counts[gaps[place]]]
            item_id, step = str(some.item_ids[place]), infer_frequency(own, np.zeros(1, np.int64))
            detail = f"{item_id!r} steps by {step}, the model by {self.frequency}"
            hint = "resample the series, use a model of its frequency, or pass freq=... where these are gaps"
            problems.append(Problem(detail, hint, item_id, "timestamp"))
        raise DataError("frequency-mismatch", problems)


def lay_out_good(piece: Piece, make: Callable[[Piece], SeriesTable]) -> tuple[SeriesTable | None, Ints, Faults]:
    """The series of a piece that can be laid out.

    An error names some series: these are taken out, and both halves of the others are tried again.

    Args:
        piece: N series.
        make: Lays out a piece, or raises a `DataError`.

    Returns:
        The table, None where no series is left; which of the piece's they are; and what is wrong with the others.
    """
    faults: Faults = {}
    kept = np.arange(len(piece))
    while len(kept):
        try:
            return make(piece.select(kept)), kept, faults
        except DataError as error:
            found = _blame(error, piece, kept, make)
            # Where only all of them together are wrong, none of them is to be trusted.
            faults |= found or {int(series): Fault(error.code, error.problems[0]) for series in kept}
            kept = np.setdiff1d(kept, list(faults))
    return None, kept, faults


def _blame(error: DataError, piece: Piece, series: Ints, make: Callable[[Piece], SeriesTable]) -> Faults:
    """Which of these series cannot be laid out, given the error that all of them together gave."""
    found = faults_of(error, piece.item_ids.take(series).to_pylist(), series)
    if not found and len(series) == 1:
        found = {int(series[0]): Fault(error.code, error.problems[0])}
    rest = np.setdiff1d(series, list(found))
    for half in np.array_split(rest, 2):
        if len(half):
            try:
                make(piece.select(half))
            except DataError as other:
                found |= _blame(other, piece, half, make)
    return found


def forecast_good(
    model: Forecaster, table: SeriesTable, prediction_length: int, quantile_levels: Sequence[float]
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
