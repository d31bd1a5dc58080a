"""What the series of a table have in common, and laying a piece of them out by it."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

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
