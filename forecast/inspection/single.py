"""One forecast from all sides: what it rests on, the states it came through, and when they were there before."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from forecast.config import ForecasterConfig
from forecast.inspection.explanation import Attribution, CovariateEffects, attribution, covariate_effects
from forecast.inspection.forward import States, states
from forecast.inspection.looking import look_at, run
from forecast.inspection.neighbours import SimilarWindows, similar_windows
from forecast.inspection.reach import Connectivity, connectivity
from forecast.inspection.results import Floats, Result
from forecast.inspection.sample import latest_windows
from forecast.networks import Ensemble, Network
from forecast.table import SeriesTable


@dataclass(frozen=True)
class ForecastInspection(Result):
    """One network's forecast from the end of one series: L values read, H steps forecast, Q levels.

    Attributes:
        name: The network, as in `Inspection`.
        item_id: The series.
        length: Steps of the series up to the forecast.
        times: `(L + H,)` times of the history read and of the steps ahead.
        history: `(L,)` the values read, NaN where nothing was observed.
        levels: `(Q,)` the network's quantile levels.
        quantiles: `(H, Q)` its forecast, in units of the data, before an ensemble combines and calibrates it.
        states: By layer of a recurrence; of any other network, nothing.
        attribution: What the forecast rests on.
        connectivity: How it would change with each value of the history.
        covariates: What each covariate did.
        similar: When the network was in this state before.
    """

    name: str
    item_id: str
    length: int
    times: pd.Index
    history: Floats
    levels: Floats
    quantiles: Floats
    states: tuple[States, ...]
    attribution: Attribution
    connectivity: Connectivity
    covariates: CovariateEffects
    similar: SimilarWindows

    @property
    def median(self) -> Floats:
        """`(H,)` the median forecast."""
        median: Floats = self.quantiles[:, int(np.abs(self.levels - 0.5).argmin())]
        return median

    def summary(self) -> dict[str, Any]:
        parts = {name: getattr(self, name).summary() for name in ("attribution", "connectivity", "covariates")}
        similar = self.similar.summary()["similar"]
        return {"name": self.name, "item_id": self.item_id, **parts, "similar": similar}

    def table(self) -> pd.DataFrame:
        """`time, value, attribution, masking` of the history, then `time, median` of the steps ahead."""
        context = len(self.history)
        patches = np.repeat(self.attribution.masking[0], self.attribution.patch_length)
        history = {"value": self.history, "attribution": self.attribution.history[0], "masking": patches}
        ahead = pd.DataFrame({"time": self.times[context:], "median": self.median})
        return pd.concat([pd.DataFrame({"time": self.times[:context], **history}), ahead], ignore_index=True)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Every part as a tidy table, by its name; parts that are empty are left out."""
        parts = {name: getattr(self, name).table() for name in ("connectivity", "covariates", "similar")}
        steps = [state.table() for state in self.states]
        found = {"explanation": self.table(), **parts, **({"states": pd.concat(steps)} if steps else {})}
        return {name: frame for name, frame in found.items() if len(frame)}


def inspect_forecast(
    config: ForecasterConfig, ensemble: Ensemble, table: SeriesTable, series: int = 0, lead_time: int | None = None
) -> tuple[ForecastInspection, ...]:
    """Look at the forecast from the end of one series, of each network alone.

    Args:
        config: The forecaster's resolved configuration (`Forecaster.config`).
        ensemble: Its networks (`Forecaster.network`); not changed.
        table: The series.
        series: Which of them.
        lead_time: Which step ahead `attribution` explains, from 1; the mean over all when left out.
    """
    one = table.select(np.array([series]))
    return tuple(
        _inspect(network, alone, one, name, lead_time)
        for network, alone, name in zip(ensemble.members, config.networks, config.names, strict=True)
    )


def _inspect(
    network: Network, config: ForecasterConfig, table: SeriesTable, name: str, lead_time: int | None
) -> ForecastInspection:
    """The only series of a table; the configuration is that of this network alone."""
    batch = latest_windows(config, table)
    look = look_at(network, batch, unroll=False)
    with torch.no_grad():
        quantiles = run(look)[0].numpy()
    context, horizon = network.context_length, network.prediction_length
    end = int(table.lengths[0])
    return ForecastInspection(
        name=name,
        item_id=str(table.item_ids[0]),
        length=end,
        times=table.timestamps(table.times(np.arange(end - context, end + horizon)[None])),
        history=torch.where(look.batch.observed, look.batch.context, torch.nan)[0].numpy(),
        levels=network.head.levels.numpy(),
        quantiles=quantiles,
        states=states(network, batch),
        attribution=attribution(network, batch, lead_time),
        connectivity=connectivity(network, batch),
        covariates=covariate_effects(network, config, batch),
        similar=similar_windows(network, config, table),
    )
