"""Forecasts for several callers in one forward pass.

A pass over one series takes nearly as long as over thirty. What callers ask may differ in horizon and levels,
and their series in clock and covariates: what they have in common is laid out, forecast and interpolated once.
"""

from collections.abc import Hashable, Iterator, Sequence
from itertools import groupby
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from forecast.joining import join, layout
from forecast.levels import level_weights
from forecast.predictor import SERIES_AT_ONCE
from forecast.rolling import roll
from forecast.table import SeriesTable
from forecast.windows import Batch, Windows

if TYPE_CHECKING:
    from forecast.forecaster import Forecaster


class Question(NamedTuple):
    """What one caller asks: `prediction_length` steps H of N series, at R levels."""

    table: SeriesTable
    prediction_length: int
    quantile_levels: Sequence[float]


class Place(NamedTuple):
    """A question's rows `start` to `end` among those of all that share passes, and the parts of its answer."""

    start: int
    end: int
    horizon: int
    levels: tuple[float, ...]
    answer: list[npt.NDArray[np.float32]]


def forecast_together(model: "Forecaster", questions: Sequence[Question]) -> list[npt.NDArray[np.float32]]:
    """Answer questions that `Forecaster.check` has let pass.

    Returns:
        `(N, H, 1 + R)` for each, in the order of the questions: the mean, then the quantiles. Up to the rounding
        of sums, the same as if each had been asked alone.
    """
    answers: list[list[npt.NDArray[np.float32]]] = [[] for _ in questions]

    def kind(number: int) -> tuple[int, int, tuple[float, ...]]:
        _, horizon, levels = questions[number]
        return ceil(horizon / model.prediction_length), layouts[number], tuple(levels)

    known: dict[Hashable, int] = {}
    layouts = [known.setdefault(layout(question.table), len(known)) for question in questions]
    order = sorted(range(len(questions)), key=kind)  # neighbours have much in common
    for blocks, alike in groupby(order, key=lambda number: kind(number)[0]):
        windows, places, start = [], [], 0
        for _, group in groupby(alike, key=lambda number: layouts[number]):
            numbers = list(group)
            windows.append(windows_to_forecast(model, join([questions[number].table for number in numbers]), blocks))
            for number in numbers:
                table, horizon, levels = questions[number]
                places.append(Place(start, start + len(table), horizon, tuple(levels), answers[number]))
                start += len(table)
        _answer(model, windows, blocks, places)
    return [parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in answers]


def windows_to_forecast(model: "Forecaster", table: SeriesTable, blocks: int) -> Windows:
    """The windows from which so many blocks of the trained horizon are forecast: the latest of each series."""
    return Windows(
        table.keep_last(model.context_length),
        model.context_length,
        blocks * model.prediction_length,
        model.config.calendar_frequency,
        covariates=model.config.covariates,
    )


def _answer(model: "Forecaster", windows: Sequence[Windows], blocks: int, places: Sequence[Place]) -> None:
    """Forecast all windows, and add what is found to the answers."""
    trained = model.config.quantile_levels
    levels = torch.tensor(trained)
    for first, batch in _batches(windows):
        with torch.inference_mode():
            quantiles = roll(model.forecasting, batch, blocks, levels)
        last = first + len(quantiles)
        here = [place for place in places if place.start < last and place.end > first]
        for asked, alike in groupby(here, key=lambda place: place.levels):
            some = list(alike)
            begin, end = max(some[0].start, first), min(some[-1].end, last)
            furthest = max(place.horizon for place in some)
            values = quantiles[begin - first : end - first, :furthest].double() @ level_weights(trained, asked)
            numbers = values.float().numpy()
            for place in some:
                low, high = max(place.start, first), min(place.end, last)
                place.answer.append(numbers[low - begin : high - begin, : place.horizon])


def _batches(windows: Sequence[Windows]) -> Iterator[tuple[int, Batch]]:
    """The latest windows of all, a batch at a time, with the number of its first one."""
    ends = torch.tensor([len(one) for one in windows]).cumsum(0)
    total = int(ends[-1])
    for some in torch.arange(total).tensor_split(max(ceil(total / SERIES_AT_ONCE), 1)):
        of = torch.searchsorted(ends, some, right=True)
        parts = []
        for number, one in enumerate(windows):
            here = some[of == number]
            if len(here):
                parts.append(one.latest(here - (ends[number] - len(one))))
        if parts:
            batch = parts[0] if len(parts) == 1 else Batch(*(torch.cat(part) for part in zip(*parts, strict=True)))
            yield int(some[0]), batch
