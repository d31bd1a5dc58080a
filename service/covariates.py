"""A request's covariates: those the model reads, all of them, a value for each step."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from forecast import CovariatesConfig
from forecast.covariate_lists import CovariateLists, Value, columns_of, with_future
from forecast.covariates import CovariateColumns
from forecast.table import SeriesTable
from forecast.values import LARGEST, NUMERIC
from service.problems import ERRORS_SHOWN, ProblemError, ProblemItem, pointer
from service.schema import SeriesInput, SeriesRequest

FIELDS = ("past_covariates", "future_covariates", "static_covariates")


def check_covariates(request: SeriesRequest, covariates: CovariatesConfig, prediction_length: int) -> None:
    """Refuse covariates that the model does not read, that are missing, or that do not fit the series.

    Raises:
        ProblemError: Names the fields.
    """
    if not covariates.names and not any(map(_has_covariates, request.inputs)):
        return
    for kind, problems in (
        ("invalid-request", _unknown(request, covariates)),
        ("missing-covariate", _missing(request, covariates)),
        ("bad-covariate", _misshapen(request, covariates, prediction_length)),
    ):
        if found := list(islice(problems, ERRORS_SHOWN)):
            raise ProblemError(kind, found)


def past_columns(chosen: Sequence[SeriesInput], covariates: CovariatesConfig) -> CovariateColumns | None:
    """The covariates of some series' history, a row for each value of their targets; None where there are none."""
    if not covariates.names:
        return None
    return columns_of([_lists(series) for series in chosen], [len(series.target) for series in chosen], covariates)


def add_future(table: SeriesTable, chosen: Sequence[SeriesInput], covariates: CovariatesConfig) -> SeriesTable:
    """A table of some series with what they know in advance."""
    if not covariates.known:
        return table
    return with_future(table, [_lists(series) for series in chosen], covariates)


def _lists(series: SeriesInput) -> CovariateLists:
    return CovariateLists(*(_given(series, field) for field in FIELDS))


def _has_covariates(series: SeriesInput) -> bool:
    return bool(series.past_covariates or series.future_covariates or series.static_covariates)


def _given(series: SeriesInput, field: str) -> dict[str, Any]:
    return getattr(series, field) or {}


def _wanted(covariates: CovariatesConfig) -> dict[str, tuple[str, ...]]:
    """The names that each field must have."""
    return dict(zip(FIELDS, (covariates.varying, covariates.known, covariates.static), strict=True))


def _unknown(request: SeriesRequest, covariates: CovariatesConfig) -> Iterator[ProblemItem]:
    for place, series in enumerate(request.inputs):
        for field, wanted in _wanted(covariates).items():
            for name in _given(series, field):
                if name in wanted:
                    continue
                there = ", ".join(wanted)
                detail = f"{series.item_id!r} has {field} of {name[:50]!r}, which this model does not read"
                hint = f"it reads {there}" if wanted else f"leave it out: this model takes no {field}"
                at = pointer("inputs", place, field, *([name] if wanted else []))
                yield ProblemItem(item_id=series.item_id, pointer=at, detail=detail, hint=hint)


def _missing(request: SeriesRequest, covariates: CovariatesConfig) -> Iterator[ProblemItem]:
    for place, series in enumerate(request.inputs):
        for field, wanted in _wanted(covariates).items():
            lacking = [name for name in wanted if name not in _given(series, field)]
            if lacking:
                detail = f"{series.item_id!r} has no {field} of {', '.join(map(repr, lacking))}, which this model reads"
                hint = {
                    "past_covariates": "send a list with a value for each of the target's, null where it is missing",
                    "future_covariates": "send a list with a value for each step to forecast, null where unknown",
                    "static_covariates": "send its value, or null",
                }[field]
                at = pointer("inputs", place, field) if _given(series, field) else pointer("inputs", place)
                yield ProblemItem(item_id=series.item_id, pointer=at, detail=detail, hint=hint)


def _misshapen(request: SeriesRequest, covariates: CovariatesConfig, prediction_length: int) -> Iterator[ProblemItem]:
    """Lists of a wrong length, and values of a wrong kind."""
    for place, series in enumerate(request.inputs):
        lengths = {"past_covariates": len(series.target), "future_covariates": prediction_length}
        for field, length in lengths.items():
            for name, values in _given(series, field).items():
                at = pointer("inputs", place, field, name)
                if len(values) != length:
                    what = "one for each of the target's" if field == "past_covariates" else "one for each step"
                    detail = f"{field} {name!r} of {series.item_id!r} has {len(values)} values, {length} are needed"
                    yield ProblemItem(item_id=series.item_id, pointer=at, detail=detail, hint=f"send {what}")
                elif fault := _fault(values, name, covariates):
                    detail = f"{field} {name!r} of {series.item_id!r} {fault}"
                    yield ProblemItem(item_id=series.item_id, pointer=at, detail=detail, hint="send numbers or null")
        for name, value in _given(series, "static_covariates").items():
            if fault := _fault([value], name, covariates):
                at = pointer("inputs", place, "static_covariates", name)
                detail = f"static_covariates {name!r} of {series.item_id!r} {fault}"
                yield ProblemItem(item_id=series.item_id, pointer=at, detail=detail, hint="send a number or null")


def _fault(values: Sequence[Value], name: str, covariates: CovariatesConfig) -> str | None:
    """What keeps values from being the numbers they should be; text may be anything."""
    if name in covariates.categories:
        return None
    if pd.api.types.infer_dtype(values, skipna=True) not in NUMERIC:
        return "holds text; this model was trained on numbers"
    if (np.abs(np.array(values, np.float64)) > LARGEST).any():
        return f"holds a number beyond {LARGEST:.0e}"
    return None
