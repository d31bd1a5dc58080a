"""Looking at one forecast, and writing what was seen as JSON of bounded size. Runs in the inspector's process."""

from contextlib import suppress
from typing import Any

import numpy as np
import orjson

from forecast import Forecaster, SeriesTable
from forecast.errors import DataError
from forecast.inspection import ForecastInspection, inspect_forecast, inspect_model
from forecast.inspection.forward import States
from forecast.inspection.results import Ints
from forecast.inspection.units import LEFT, RIGHT

MOST_UNITS, MOST_LEAD_TIMES, MOST_LAGS = 128, 96, 512  # of each map; more are thinned evenly


def look(forecaster: Forecaster, table: SeriesTable, lead_time: int | None, version: dict[str, Any]) -> bytes:
    """The body of a `schema.InspectResponse`.

    Args:
        forecaster: The model.
        table: One series, which it can forecast.
        lead_time: The step ahead to explain; None for the mean over all.
        version: A `schema.ModelVersion`.
    """
    config, network = forecaster.config, forecaster.network
    findings = None
    with suppress(DataError):  # a series may be long enough to be forecast, and too short to hold anything out
        findings = [finding.summary() for finding in inspect_model(config, network, table).findings]
    members = [_member(one) for one in inspect_forecast(config, network, table, lead_time=lead_time)]
    content = {"model": version, "item_id": str(table.item_ids[0]), "findings": findings, "members": members}
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


def _member(seen: ForecastInspection) -> dict[str, Any]:
    reach, found, similar = seen.connectivity, seen.attribution, seen.similar
    ahead, back = _evenly(len(reach.total), MOST_LEAD_TIMES), _evenly(len(reach.lags), MOST_LAGS)
    return {
        "name": seen.name,
        "median": _flat(seen.median),
        "states": [_states(state) for state in seen.states],
        "connectivity": {
            "lead_times": ahead + 1,
            "lags": _flat(reach.lags[back]),
            "total": _flat(reach.total[np.ix_(ahead, back)]),
            "encoder": _flat(reach.encoder[np.ix_(ahead, back)]),
            "memory": reach.memory,
        },
        "attribution": {
            "history": _flat(found.history[0]),
            "masking": _flat(found.masking[0]),
            "patch_length": found.patch_length,
            "forecast": float(found.forecast[0]),
            "baseline": float(found.baseline[0]),
            "completeness": float(found.completeness[0]),
            "agreement": float(found.agreement[0]),
        },
        "covariates": {
            name: _flat(effect[0]) for name, effect in zip(seen.covariates.names, seen.covariates.effect, strict=True)
        },
        "similar": [
            {
                "steps_before": int(seen.length - origin),
                "distance": float(similar.distance[rank]),
                "followed": _flat(similar.followed[rank]),
                "analogue": _flat(similar.analogue[rank]),
            }
            for rank, origin in enumerate(similar.origin)
        ],
    }


def _states(state: States) -> dict[str, Any]:
    hidden = state.hidden[0]
    units = _evenly(hidden.shape[1], MOST_UNITS)
    gates = {
        name: {
            "mean": _flat(gate[0].mean(1)),
            "shut": float((gate[0] < LEFT).mean()),
            "open": float((gate[0] > RIGHT).mean()),
        }
        for name, gate in state.gates.items()
        if name != "candidate"
    }
    parts = {"layer": state.layer, "patch_length": state.patch_length, "units": units}
    return {**parts, "hidden": _flat(hidden[:, units]), "gates": gates}


def _evenly(size: int, most: int) -> Ints:
    """Places evenly taken, both ends among them."""
    return np.unique(np.linspace(0, size - 1, min(size, most)).round().astype(np.int64))


def _flat(numbers: Any) -> Any:
    """What the JSON writer takes: rows one after the other in memory, and no digits that are noise."""
    return np.ascontiguousarray(numbers, np.float32 if numbers.dtype.kind == "f" else None)
