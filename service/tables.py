"""From a checked request to the tables that the library forecasts.

A table has one clock (a UTC offset, none, or no times at all), so the series of a request are sorted into as
many tables as there are clocks. Nothing here loops over values.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta, tzinfo

import numpy as np
import numpy.typing as npt

from forecast import CovariatesConfig, SeriesTable
from forecast.calendar import Frequency, Times
from forecast.columns import Columns
from forecast.errors import DataError, Problem
from forecast.gapless import lay_out_gapless
from forecast.series import lay_out
from forecast.values import parse_time_texts
from service.covariates import add_future, past_columns
from service.limits import LIMITS
from service.schema import SeriesInput, SeriesRequest
from service.schema_errors import TIME_HINT

STEP = Frequency.parse("step")

_OFFSET = re.compile(r"[+-][0-9:]{2,}$|[Zz]$")


@dataclass(frozen=True)
class Part:
    """The series of a request that share a clock.

    Attributes:
        places: `(N,)` their places in the request.
        table: The N series.
    """

    places: list[int]
    table: SeriesTable


def lay_out_request(request: SeriesRequest, model_frequency: Frequency, covariates: CovariatesConfig) -> list[Part]:
    """Put the series of a request on time grids.

    Args:
        request: A checked request.
        model_frequency: The grid of series that have a start, but no timestamps of their own.
        covariates: Those that the model reads, and that the request therefore has.

    Raises:
        DataError: The series cannot be used.
        ParameterError: `freq` is not a frequency.
    """
    frequency = asked_frequency(request.parameters.freq, model_frequency)
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, series in enumerate(request.inputs):
        groups[_clock(series)].append(place)
    parts: list[Part] = []
    for (kind, offset), places in groups.items():
        chosen = [request.inputs[place] for place in places]
        if kind == "undated":
            parts.append(Part(places, _gapless(chosen, covariates, np.zeros(len(chosen), np.int64), STEP)))
        elif kind == "start":
            parts.append(Part(places, _from_starts(chosen, covariates, model_frequency)))
        else:
            for some, times, tz in _read_timestamps(chosen, offset):
                picked = [chosen[number] for number in some]
                lone = all(len(series.target) < 2 for series in picked)  # nothing to find the frequency from
                room = LIMITS.steps - sum(int(part.table.lengths.sum()) for part in parts)
                grid = model_frequency if lone else frequency
                table = lay_out(_columns(picked, covariates, times, tz), grid, max(room, 0))
                check_grid(table, model_frequency)
                parts.append(Part([places[number] for number in some], table))
    return [
        Part(part.places, add_future(part.table, [request.inputs[place] for place in part.places], covariates))
        for part in parts
    ]


def asked_frequency(alias: str | None, model_frequency: Frequency) -> Frequency | None:
    """The frequency that a caller named; None where it named none.

    Raises:
        DataError: It is not the model's ("frequency-mismatch").
        ParameterError: It is not a frequency.
    """
    if alias is None:
        return None
    frequency = Frequency.parse(alias)
    if frequency.alias != model_frequency.alias:
        raise DataError(
            "frequency-mismatch",
            Problem(
                f"freq={alias!r} was asked for; this model was trained on steps of {model_frequency}",
                "leave freq out, resample the series, or use a model of that frequency",
                field="freq",
            ),
        )
    return frequency


def check_grid(table: SeriesTable, model_frequency: Frequency) -> None:
    """Refuse series on another grid than the model's.

    Raises:
        DataError: They are ("frequency-mismatch").
    """
    if table.frequency.alias == model_frequency.alias:
        return
    name = str(table.item_ids[0])
    problem = Problem(
        f"{name!r} steps by {table.frequency}; this model was trained on steps of {model_frequency}",
        f"resample the series, use a model of that frequency, or send freq='{model_frequency}' if it only has gaps",
        name,
        "timestamp",
    )
    raise DataError("frequency-mismatch", problem)


def _clock(series: SeriesInput) -> tuple[str, str]:
    """How a series tells its time, and the UTC offset of its first time: "Z", "+01:00", or nothing."""
    if series.start is not None:
        return "start", _offset(series.start)
    return ("timestamps", _offset(series.timestamps[0])) if series.timestamps else ("undated", "")


def _offset(text: str) -> str:
    found = _OFFSET.search(text, 10)  # after the date, whose own dashes are no signs
    offset = found[0] if found else ""
    return "Z" if offset and not offset.strip("+-0:Zz") else offset


def _columns(
    chosen: Sequence[SeriesInput], covariates: CovariatesConfig, times: Times, tz: tzinfo | None = None
) -> Columns:
    names, target, lengths = _values(chosen)
    codes = np.repeat(np.arange(len(chosen)), lengths)
    return Columns(names, codes, times, target, tz, past_columns(chosen, covariates))


def _values(
    chosen: Sequence[SeriesInput],
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """`(N,)` names, `(P,)` values, NaN where missing, and `(N,)` how many of each."""
    target = np.concatenate([np.array(series.target, np.float64) for series in chosen])  # None becomes NaN
    names = np.array([series.item_id for series in chosen], object)
    return names, target, np.array([len(series.target) for series in chosen])


def _from_starts(chosen: Sequence[SeriesInput], covariates: CovariatesConfig, frequency: Frequency) -> SeriesTable:
    """Series of which the first time is known, on the model's grid."""
    if frequency.kind == "step":
        raise DataError(
            "frequency-mismatch",
            Problem(
                f"{chosen[0].item_id!r} has a start; this model was trained on series without times",
                "leave start out",
                chosen[0].item_id,
                "timestamp",
            ),
        )
    starts, tz = _parse(chosen, [[series.start or ""] for series in chosen])
    return _gapless(chosen, covariates, starts, frequency, tz)


def _gapless(
    chosen: Sequence[SeriesInput],
    covariates: CovariatesConfig,
    starts: Times,
    frequency: Frequency,
    tz: tzinfo | None = None,
) -> SeriesTable:
    """Series with a value for each step from their starts on."""
    if not covariates.names:
        names, target, lengths = _values(chosen)
        table = lay_out_gapless(names, target, lengths, starts, frequency, tz)
        if table is not None:
            return table
    lengths = np.array([len(series.target) for series in chosen])
    steps = np.arange(lengths.sum()) - np.repeat(lengths.cumsum() - lengths, lengths)
    if frequency.kind == "step":
        return lay_out(_columns(chosen, covariates, steps), frequency)
    # Months and days are those of the local clock.
    offset = np.timedelta64((tz.utcoffset(None) if tz else None) or timedelta(0), "us")
    local: npt.NDArray[np.datetime64] = np.repeat(starts + offset, lengths)
    return lay_out(_columns(chosen, covariates, frequency.advance(local, steps) - offset, tz), frequency)


def _read_timestamps(chosen: Sequence[SeriesInput], offset: str) -> Iterator[tuple[list[int], Times, tzinfo | None]]:
    """Series whose first times have one offset, as tables of one zone: numbers of the series, times, zone.

    All at once where every time has that offset. Where some have not, each series for itself: one that
    changes its offset is in UTC, the others stay in their own.
    """
    texts = [series.timestamps or [] for series in chosen]
    times, tz = _parse(chosen, texts)
    uniform = {"": None, "Z": UTC}.get(offset, tz) == tz and (tz != UTC or offset == "Z")
    if uniform or len(chosen) == 1:
        yield list(range(len(chosen))), times, tz
        return
    for number, series in enumerate(chosen):
        yield [number], *_parse([series], [texts[number]])


def _parse(chosen: Sequence[SeriesInput], texts: Sequence[list[str]]) -> tuple[Times, tzinfo | None]:
    """Times of several series at once; what cannot be read is named by its series."""
    try:
        return parse_time_texts([text for one in texts for text in one])
    except DataError:
        for series, one in zip(chosen, texts, strict=True):
            try:
                parse_time_texts(one)
            except DataError as error:
                detail = f"{series.item_id!r}: {error.problems[0].detail}"
                if series.start is not None:
                    detail = f"{series.item_id!r} has the start {series.start!r}, which is not an ISO 8601 time"
                raise DataError(error.code, Problem(detail, TIME_HINT, series.item_id, "timestamp")) from None
        raise
