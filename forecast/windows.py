"""Windows of history and future, cut from flat arrays with one gather per batch.

A window is two numbers, a series and its origin (the first step forecast); no object is made for it.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from forecast.calendar import Frequency, Ints, calendar_features, feature_names
from forecast.config import CovariatesConfig
from forecast.covariate_features import CovariateFeatures
from forecast.table import SeriesTable

MOST_VALIDATED = 4096  # windows an epoch, evenly taken from all that are kept: enough for a steady loss

Floats = npt.NDArray[np.float32]


class Batch(NamedTuple):
    """B windows.

    Attributes:
        context: `(B, L)` values before the origin, 0 where not observed.
        observed: `(B, L)` mask.
        known: `(B, L+H, K)` features of past and future: the calendar's, those of covariates known in advance,
            and those of covariates known for the past only, which are 0 from the origin on.
        target: `(B, H)` values from the origin on, 0 where not observed.
        target_observed: `(B, H)` mask; steps beyond a series' end are not observed.
        naive_error: `(B,)` what a naive forecast of the series errs by; NaN where that is not known.
        static: `(B, S)` features of the series.
    """

    context: Tensor
    observed: Tensor
    known: Tensor
    target: Tensor
    target_observed: Tensor
    naive_error: Tensor
    static: Tensor


class Windows:
    """All windows of a table.

    Args:
        table: The series.
        context_length: Steps L of history.
        prediction_length: Steps H of future.
        calendar: The frequency whose calendar features the windows have, by default the table's own. They
            are 0 where the table is of another one (undated series).
        naive_error: `(N,)` what a naive forecast of each series errs by, for losses in units of it.
        covariates: The covariates whose features the windows have, with their scales and categories.

    Raises:
        DataError: The table was read without one of the covariates.
    """

    def __init__(
        self,
        table: SeriesTable,
        context_length: int,
        prediction_length: int,
        calendar: Frequency | None = None,
        naive_error: npt.NDArray[np.floating] | None = None,
        covariates: CovariatesConfig | None = None,
    ) -> None:
        self.context_length = context_length
        self.prediction_length = prediction_length
        self.lengths = torch.from_numpy(table.lengths)
        self._values = torch.from_numpy(table.values)
        self._observed = torch.from_numpy(table.observed)
        self._offsets = torch.from_numpy(table.offsets)
        if calendar is None or calendar == table.frequency:
            features, rows = _calendar_rows(table, context_length, prediction_length)
        else:
            features, rows = _no_calendar(table, context_length, prediction_length, len(feature_names(calendar)))
        self._features, self._rows = torch.from_numpy(features), torch.from_numpy(rows)
        naive_error = np.full(len(table), np.nan) if naive_error is None else naive_error
        self._naive_error = torch.from_numpy(naive_error.astype(np.float32))
        self._covariates = CovariateFeatures(covariates, table) if covariates and covariates.names else None
        self._steps = torch.arange(-context_length, prediction_length)
        # Every stretch of calendar rows as one row of an overlapping view: a window's is copied in one piece.
        rows_seen, size = len(self._steps), features.shape[1]
        shape = (len(features) - rows_seen + 1, rows_seen * size)
        self._stretches = torch.as_strided(self._features, shape, (size, 1))

    def __len__(self) -> int:
        return len(self.lengths)

    def gather(self, series: Tensor, origin: Tensor) -> Batch:
        """Cut windows.

        Args:
            series: `(B,)` which series.
            origin: `(B,)` the first step forecast, at most the series' length.

        Returns:
            The windows; steps before a series' start are not observed.
        """
        steps = origin.unsqueeze(1) + self._steps  # (B, L+H)
        inside = (steps >= 0) & (steps < self.lengths[series].unsqueeze(1))
        index = (steps + self._offsets[series].unsqueeze(1)).clamp_(0, len(self._values) - 1).view(-1)
        observed = self._observed.index_select(0, index).view_as(inside) & inside
        values = self._values.index_select(0, index).view_as(inside).masked_fill_(~observed, 0)
        known = self._stretches.index_select(0, steps[:, 0] + self._rows[series])
        known = known.view(*steps.shape, self._features.shape[1])
        past = self.context_length
        static = torch.empty(len(series), 0)
        if self._covariates is not None:
            known = torch.cat((known, self._covariates.varying(series, steps, past)), dim=-1)
            static = self._covariates.static(series)
        return Batch(
            values[:, :past],
            observed[:, :past],
            known,
            values[:, past:],
            observed[:, past:],
            self._naive_error[series],
            static,
        )

    def latest(self, series: Tensor) -> Batch:
        """The windows whose origin is the end of each series."""
        return self.gather(series, self.lengths[series])


class Origins:
    """The origins windows may have: a stretch in every series, counted without listing them.

    Args:
        first: `(N,)` first origin in each series.
        last: `(N,)` last origin; before `first` where a series has none.
    """

    def __init__(self, first: Tensor, last: Tensor) -> None:
        self._first = first
        self._ends = (last - first + 1).clamp(min=0).cumsum(0)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def window(self, number: Tensor) -> tuple[Tensor, Tensor]:
        """Series and origin of the windows with these numbers, 0 to `len(self) - 1`."""
        series = torch.searchsorted(self._ends, number, right=True)
        before = torch.where(series > 0, self._ends[series - 1], 0)
        return series, self._first[series] + number - before


def last_origins(lengths: Tensor, series: Tensor, horizon: int, windows: int) -> tuple[Tensor, Tensor]:
    """Series and origin of the last windows of each series, evenly thinned out to `MOST_VALIDATED`.

    Args:
        lengths: `(N,)` steps of all series.
        series: Which of them.
        horizon: Steps of a window; windows follow each other without overlap.
        windows: How many in each.
    """
    steps_back = horizon * torch.arange(1, windows + 1)
    origins = (lengths[series].unsqueeze(1) - steps_back).flatten()
    number = min(len(origins), MOST_VALIDATED)
    picked = torch.linspace(0, max(len(origins) - 1, 0), number, dtype=torch.float64).round().long()
    return series.repeat_interleave(windows)[picked], origins[picked]


def _no_calendar(table: SeriesTable, before: int, after: int, features: int) -> tuple[Floats, Ints]:
    """Rows of zeros, in the form of `_calendar_rows`."""
    steps = before + int(table.lengths.max(initial=0)) + after
    return np.zeros((steps, features), np.float32), np.full(len(table), before)


def _calendar_rows(table: SeriesTable, before: int, after: int) -> tuple[Floats, Ints]:
    """Calendar features of every step any window can touch, each computed once for all series.

    Series that overlap in time share rows: their spans, `before` steps earlier to `after` steps later,
    are merged, so the table is never longer than the spans together. Series whose grids are shifted
    against each other (on the hour, on the half hour) share none.

    Returns:
        `(R, K)` features, and `(N,)` the row that belongs to step 0 of each series.
    """
    frequency = table.frequency
    if not feature_names(frequency):
        return _no_calendar(table, before, after, 0)
    origin = np.asarray(table.starts.min())
    start, _ = frequency.positions(origin, table.starts)
    _, shift = np.unique(table.starts - frequency.advance(origin, start), return_inverse=True)
    # Grids of another shift are moved out of each other's reach, so that all are merged at once.
    start = start + shift * (start.max() + table.lengths.max() + before + after + 1)
    low, high = start - before, start + table.lengths + after
    order = np.argsort(low, kind="stable")
    reach = np.maximum.accumulate(high[order])
    opens = np.append(True, low[order][1:] > reach[:-1])
    closes = np.append(opens[1:], True)
    earliest = order[opens]  # the first series of each span: its rows count from there
    sizes = reach[closes] - low[earliest]
    base = np.cumsum(sizes) - sizes
    steps = np.arange(sizes.sum()) - np.repeat(base + before, sizes)
    times = frequency.advance(np.repeat(table.starts[earliest], sizes), steps)
    span = np.empty(len(table), np.int64)
    span[order] = np.cumsum(opens) - 1
    return calendar_features(frequency, table.local(times)), base[span] + start - low[earliest][span]
