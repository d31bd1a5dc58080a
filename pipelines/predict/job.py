"""Forecasting one piece: good series become rows of the output, the others rows of the rejects."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from hashlib import sha256

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import torch

from forecast.calendar import Ints
from forecast.forecaster import Forecaster
from forecast.series import Missing
from forecast.sifting import Faults, forecast_good, make_of_good
from forecast.table import SeriesTable
from pipelines.predict.clock import Clock
from pipelines.predict.journal import Part
from pipelines.predict.pieces import Piece, Source


@dataclass(frozen=True)
class Job:
    """What is done with every piece.

    Attributes:
        model: Forecasts.
        prediction_length: Steps H.
        quantile_levels: R levels.
        clock: What all series have in common.
        item_type: Of the series' names.
        time_type: Of their times.
    """

    model: Forecaster
    prediction_length: int
    quantile_levels: tuple[float, ...]
    clock: Clock
    item_type: pa.DataType
    time_type: pa.DataType

    @classmethod
    def of(
        cls,
        model: Forecaster,
        prediction_length: int,
        quantile_levels: tuple[float, ...],
        source: Source,
        freq: str | None,
    ) -> "Job":
        """For the series of a table."""
        clock = Clock.find(source.read(source.plan(prediction_length)), freq, model)
        steps = clock.frequency.kind == "step"
        time_type = pa.int64() if steps else pa.timestamp("us", clock.example and clock.example.tz)
        return cls(model, prediction_length, quantile_levels, clock, source.item_type, time_type)

    @property
    def schema(self) -> pa.Schema:
        """Of the output: `item_id, timestamp, mean` and a column for each level."""
        numbers = [(name, pa.float32()) for name in ("mean", *map(str, self.quantile_levels))]
        return pa.schema([("item_id", self.item_type), ("timestamp", self.time_type), *numbers])

    @property
    def rejects_schema(self) -> pa.Schema:
        """Of the rejects: `item_id, reason, detail, hint`."""
        return pa.schema([("item_id", self.item_type), *((name, pa.string()) for name in ("reason", "detail", "hint"))])

    def run(self, piece: Piece) -> Part:
        """Forecast a piece.

        Raises:
            DataError: The table as a whole cannot be forecast: it is of another frequency.
        """
        table, kept, faults = make_of_good(
            len(piece),
            lambda some: piece.item_ids.take(some).to_pylist(),
            lambda some: self.clock.lay_out(piece.select(some), self.model.covariates),
        )
        forecasts, missing = self.schema.empty_table(), Missing()
        if table is not None:
            values, table, among, unusable = forecast_good(
                self.model, table, self.prediction_length, self.quantile_levels
            )
            faults |= {int(kept[series]): fault for series, fault in unusable.items()}
            kept = kept[among]
            if len(kept):
                forecasts = self._rows(piece.item_ids.take(pa.array(kept)), table, values)
                missing = Missing.of(table)
        counts = {"series": len(piece), "missing": asdict(missing)}
        return Part(forecasts, self._rejects(piece, faults), counts)

    def _rows(self, item_ids: pa.Array, table: SeriesTable, values: npt.NDArray[np.float32]) -> pa.Table:
        """Forecasts `(N, H, 1 + R)` as a long table."""
        series, horizon = values.shape[:2]
        positions = table.lengths[:, None] + np.arange(horizon)
        times = table.timestamps(table.times(positions))
        if isinstance(times, pd.DatetimeIndex) and times.tz is not None:
            times = times.tz_convert(None)
        columns = np.ascontiguousarray(values.reshape(series * horizon, -1).T)
        repeated = item_ids.take(pa.array(np.repeat(np.arange(series), horizon)))
        return pa.table(
            [repeated, pa.array(times.to_numpy()).cast(self.time_type), *map(pa.array, columns)], schema=self.schema
        )

    def _rejects(self, piece: Piece, faults: Faults) -> pa.Table:
        order: Ints = np.array(sorted(faults), np.int64)
        found = [faults[int(series)] for series in order]
        texts = [(fault.code, fault.problem.detail, fault.problem.hint) for fault in found]
        columns = [pa.array(column, pa.string()) for column in (zip(*texts, strict=True) if texts else ([], [], []))]
        return pa.table([piece.item_ids.take(pa.array(order)), *columns], schema=self.rejects_schema)


def run_in_order(run: Callable[[Piece], Part], pieces: Iterable[Piece]) -> Iterator[Part]:
    """Run several pieces at once, as many as torch has threads, with one thread each.

    A piece's series do not wait for each other, so this is faster than all threads working on one piece.
    """
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, "predict", initializer=torch.set_num_threads, initargs=(1,))
    waiting: deque[Future[Part]] = deque()
    try:
        for piece in pieces:
            waiting.append(pool.submit(run, piece))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)


def digest(model: Forecaster) -> str:
    """What tells one trained model from another: its settings and weights."""
    found = sha256(model.config.model_dump_json().encode())
    for name, tensor in sorted(model.network.state_dict().items()):
        found.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
