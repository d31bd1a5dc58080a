"""When was the network in this state before? The nearest past windows by its state, and what followed them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from forecast.config import ForecasterConfig
from forecast.inspection.forward import codes
from forecast.inspection.results import Floats, Ints, Result
from forecast.inspection.sample import all_windows
from forecast.networks import Network
from forecast.table import SeriesTable
from forecast.windows import Batch

CANDIDATES = 2048  # past windows compared at the most, evenly taken
AT_ONCE = 256


@dataclass(frozen=True)
class SimilarWindows(Result):
    """The K past windows of a series in which the network's state was most like the one asked about, nearest first.

    Attributes:
        item_id: The series.
        time: The first time forecast from the window asked about.
        times: `(K,)` the first time after each past window.
        origin: `(K,)` steps from the series' start to it.
        distance: `(K,)` between states, each unit in its own standard deviations over all past windows, as root mean
            square over units: 0 is the same state, about 1.4 that of two windows taken at random.
        history: `(K, L)` the past windows, NaN where nothing was observed.
        followed: `(K, H)` what followed each, NaN where nothing was observed.
        analogue: `(K, H)` the same moved to the level and the size of the window asked about.
    """

    item_id: str
    time: Any
    times: pd.Index
    origin: Ints
    distance: Floats
    history: Floats
    followed: Floats
    analogue: Floats

    def summary(self) -> dict[str, Any]:
        pairs = zip(self.times, self.distance, strict=True)
        near = [{"time": str(time), "distance": float(distance)} for time, distance in pairs]
        return {"item_id": self.item_id, "time": str(self.time), "similar": near}

    def table(self) -> pd.DataFrame:
        """`rank, time, distance, lead_time, followed, analogue`."""
        horizon = self.followed.shape[1]
        return pd.DataFrame(
            {
                "rank": np.repeat(np.arange(1, len(self.origin) + 1), horizon),
                "time": self.times.repeat(horizon),
                "distance": np.repeat(self.distance, horizon),
                "lead_time": np.tile(np.arange(1, horizon + 1), len(self.origin)),
                "followed": self.followed.ravel(),
                "analogue": self.analogue.ravel(),
            }
        )


def similar_windows(
    network: Network,
    config: ForecasterConfig,
    table: SeriesTable,
    series: int = 0,
    origin: int | None = None,
    count: int = 5,
) -> SimilarWindows:
    """Compare the state at a window's end with those at the ends of earlier windows of the same series.

    The state is the encoder's code: of a recurrent network its last hidden state. Windows found are at least a
    horizon apart from each other, and all that followed them lies before the window asked about. A series too short
    for any gives none.

    Args:
        network: One network.
        config: The resolved configuration of the forecaster it belongs to.
        table: The series.
        series: Which of them.
        origin: The first step forecast from the window asked about; the series' end when left out.
        count: K at the most.
    """
    windows, horizon = all_windows(config, table), config.prediction_length
    end = int(table.lengths[series]) if origin is None else origin
    first = min(network.context_length, config.minimum_history or 1)
    past = torch.arange(first, max(end - horizon, first - 1) + 1)
    thin = torch.linspace(0, max(len(past) - 1, 0), min(len(past), CANDIDATES), dtype=torch.float64).round().long()
    past = past[thin]

    def gather(origins: Tensor) -> Batch:
        return windows.gather(torch.full_like(origins, series), origins)

    asked = gather(torch.tensor([end]))
    state = codes(network, asked)
    known = [codes(network, gather(part)) for part in torch.split(past, AT_ONCE) if len(part)]
    before = np.concatenate(known) if known else np.empty((0, state.shape[1]))
    deviation = before.std(0) if len(before) else np.ones(state.shape[1])
    units = deviation > 0  # one that never changes tells nothing
    distance = (
        np.sqrt((((before - state)[:, units] / deviation[units]) ** 2).mean(1))
        if units.any()
        else np.zeros(len(before))
    )
    chosen = _apart(past.numpy(), distance, horizon, count)
    found = gather(past[chosen])
    skip = found.context.shape[1] - network.context_length
    history, followed = (
        torch.where(there, values, torch.nan).numpy()
        for values, there in (
            (found.context[:, skip:], found.observed[:, skip:]),
            (found.target, found.target_observed),
        )
    )
    level, size = _level_and_size(history)
    query = torch.where(asked.observed, asked.context, torch.nan)[:, skip:].numpy()
    own_level, own_size = _level_and_size(query)
    origins = past[chosen].numpy()
    times = table.select(np.array([series])).times(np.append(origins, end)[None])
    stamps = table.timestamps(times)
    return SimilarWindows(
        str(table.item_ids[series]),
        stamps[-1],
        stamps[:-1],
        origins,
        distance[chosen],
        history,
        followed,
        (followed - level) / size * own_size + own_level,
    )


def _apart(origin: Ints, distance: Floats, least: int, count: int) -> Ints:
    """The nearest ones, each so many steps from any nearer."""
    chosen: list[int] = []
    for candidate in np.argsort(distance, kind="stable"):
        if all(abs(origin[candidate] - origin[one]) >= least for one in chosen):
            chosen.append(int(candidate))
        if len(chosen) == count:
            break
    return np.array(chosen, np.int64)


def _level_and_size(values: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each window `(K, L)`, `(K, 1)` each; a constant one has size 1."""
    there = ~np.isnan(values)
    count = np.maximum(there.sum(1, keepdims=True), 1)
    level = np.where(there, values, 0).sum(1, keepdims=True, dtype=np.float64) / count
    size = np.sqrt(np.where(there, (values - level) ** 2, 0).sum(1, keepdims=True) / count)
    return level, np.where(size > 0, size, 1)
