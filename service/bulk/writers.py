"""The answer of a bulk call: a line, or some rows, for each series in the order they came."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from forecast import SeriesTable
from forecast.sifting import Fault, Faults
from service.answers import check_finite, predictions, texts_of, to_json
from service.models import ServedModel
from service.problems import ProblemError, ProblemItem, clean
from service.tables import Part


@dataclass(frozen=True)
class Outcome:
    """What came of a lot.

    Attributes:
        item_ids: `(N,)` its series.
        parts: Those that were forecast, on their grids.
        forecasts: `(n, H, 1 + R)` for each part.
        faults: What is wrong with the others.
    """

    item_ids: Sequence[str]
    parts: Sequence[Part]
    forecasts: Sequence[npt.NDArray[np.float32]]
    faults: Faults


class Writer(Protocol):
    """Turns outcomes into bytes."""

    def begin(self) -> bytes:
        """What comes before all."""
        ...

    def write(self, outcome: Outcome) -> bytes:
        """A lot's answer."""
        ...

    def end(self, error: ProblemError | None) -> bytes:
        """What comes last: with an error, what broke the call off."""
        ...


class LineWriter:
    """NDJSON: a line is a `Prediction`, or `{"item_id": ..., "error": {problem}}`.

    Args:
        model: What forecasts.
        quantile_levels: R levels.
        request_id: The call's.
    """

    def __init__(self, model: ServedModel, quantile_levels: Sequence[float], request_id: str) -> None:
        self._model, self._levels, self._request_id = model, quantile_levels, request_id

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def write(self, outcome: Outcome) -> bytes:
        """A line for each series."""
        answers = predictions(self._model, outcome.parts, outcome.forecasts, self._levels)
        lines = [
            self._refusal(item_id, _problem(item_id, outcome.faults[place]))
            if place in outcome.faults
            else to_json(answers[place])
            for place, item_id in enumerate(outcome.item_ids)
        ]
        return b"".join(line + b"\n" for line in lines)

    def end(self, error: ProblemError | None) -> bytes:
        """A line without a series, if the call was broken off."""
        return b"" if error is None else self._refusal(None, error) + b"\n"

    def _refusal(self, item_id: str | None, error: ProblemError) -> bytes:
        name = to_json(None if item_id is None else clean(item_id))
        return b'{"item_id":' + name + b',"error":' + error.document(self._request_id).encode() + b"}"


class RowWriter:
    """Arrow: a long table, with the columns `error, detail, hint` for what could not be forecast.

    Args:
        model: What forecasts.
        quantile_levels: R levels.
        request_id: The call's.
        time_type: Of the timestamps: a timestamp as it was sent, int64 for steps, or text.
    """

    def __init__(
        self, model: ServedModel, quantile_levels: Sequence[float], request_id: str, time_type: pa.DataType
    ) -> None:
        self._model, self._time_type = model, time_type
        numbers = [(name, pa.float32()) for name in ("mean", *map(str, quantile_levels))]
        texts = [(name, pa.string()) for name in ("warning", "error", "detail", "hint")]
        told = {"model": model.name, "version": model.version, "run_id": model.run_id, "request_id": request_id}
        self.schema = pa.schema(
            [("item_id", pa.string()), ("timestamp", time_type), *numbers, *texts],
            {name: value for name, value in told.items() if value is not None},
        )

    def begin(self) -> bytes:
        """The schema."""
        return bytes(self.schema.serialize())

    def write(self, outcome: Outcome) -> bytes:
        """A record batch."""
        pieces, places = [], []
        for part, forecast in zip(outcome.parts, outcome.forecasts, strict=True):
            check_finite(self._model, forecast)
            pieces.append(self._rows(part.table, forecast))
            places.append(np.repeat(part.places, forecast.shape[1]))
        if outcome.faults:
            order = sorted(outcome.faults)
            pieces.append(self._refusals([(outcome.item_ids[place], outcome.faults[place]) for place in order]))
            places.append(np.array(order))
        table = pa.Table.from_batches(pieces, self.schema)
        if len(pieces) > 1:
            table = table.take(pa.array(np.argsort(np.concatenate(places), kind="stable")))
        return b"".join(bytes(batch.serialize()) for batch in table.combine_chunks().to_batches())

    def end(self, error: ProblemError | None) -> bytes:
        """A row without a series, if the call was broken off; and the stream's end."""
        last = b""
        if error is not None:
            hint = error.errors[0].hint if error.errors else None
            row = {"error": error.kind, "detail": clean(error.detail), "hint": hint}
            last = bytes(pa.RecordBatch.from_pylist([row], self.schema).serialize())
        return last + b"\xff\xff\xff\xff\x00\x00\x00\x00"

    def _rows(self, table: SeriesTable, forecast: npt.NDArray[np.float32]) -> pa.RecordBatch:
        series, horizon = forecast.shape[:2]
        texts = [self._warning(table, number, horizon) for number in range(series)]
        warnings = np.full((series, horizon), None, object)
        warnings[:, 0] = texts
        nothing = pa.nulls(series * horizon, pa.string())
        columns = [
            pa.array(np.repeat(table.item_ids, horizon), pa.string()),
            self._times(table, horizon),
            *map(pa.array, np.ascontiguousarray(forecast.reshape(series * horizon, -1).T)),
            pa.array(warnings.ravel(), pa.string()),
            nothing,
            nothing,
            nothing,
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _warning(self, table: SeriesTable, number: int, horizon: int) -> str | None:
        caution = self._model.forecaster.caution(horizon)
        return "; ".join([*table.warnings(number), *([caution] if caution else [])]) or None

    def _times(self, table: SeriesTable, horizon: int) -> pa.Array:
        if pa.types.is_string(self._time_type):
            return pa.array([text for texts in texts_of(table, horizon) for text in texts], pa.string())
        times = table.timestamps(table.times(table.lengths[:, None] + np.arange(horizon)))
        if isinstance(times, pd.DatetimeIndex) and times.tz is not None:
            times = times.tz_convert(None)
        return pa.array(times.to_numpy()).cast(self._time_type)

    def _refusals(self, found: Sequence[tuple[str, Fault]]) -> pa.RecordBatch:
        rows = [
            {
                "item_id": clean(item_id),
                "error": fault.code,
                "detail": clean(fault.problem.detail),
                "hint": clean(fault.problem.hint) or None,
            }
            for item_id, fault in found
        ]
        return pa.RecordBatch.from_pylist(rows, self.schema)


def _problem(item_id: str, fault: Fault) -> ProblemError:
    item = ProblemItem(item_id=item_id, detail=fault.problem.detail, hint=fault.problem.hint or None)
    return ProblemError(fault.code, [item])
