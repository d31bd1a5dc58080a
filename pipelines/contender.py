"""A registered version as one that competes: its model, and what it may be judged on.

Registered weights have mostly learnt from the windows at the series' end: a run judges its model on them and
then trains it anew on everything. So each run keeps the model it judged as well, until when each of the two
knows each series, and the errors in each window.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecast import Forecaster
from forecast.backtest import Backtest
from forecast.reference import CHAMPION
from forecast.table import SeriesTable
from pipelines.registry import load
from pipelines.tracking import registry_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

JUDGED, KNOWN, WINDOWS = "judged", "known.parquet", "windows.parquet"

Known = pd.Series
"""Until when series are known: their last time on the grid's clock, by `item_id`."""


@dataclass(frozen=True)
class Contender:
    """A version and what its run keeps of it.

    Attributes:
        name, version, run_id: In the registry.
        registered: The model that is or would be live.
        judged: The model that its run judged; None where the run keeps none.
        known: Until when each series is known, in the columns `registered` and `judged`; None likewise.
        windows: Everyone's errors in each window of its run, as `record.window_errors` gives them; None likewise.
    """

    name: str
    version: str
    run_id: str | None
    registered: Forecaster
    judged: Forecaster | None
    known: pd.DataFrame | None
    windows: pd.DataFrame | None

    def stand_in(self, table: SeriesTable, steps: int) -> tuple[Forecaster, Known] | None:
        """The model to judge this version by on each series' last steps, and until when that knows each series.

        The registered one where it has learnt from none of them, otherwise the one its run judged.
        """
        if self.known is None or self.judged is None:
            return None
        if (fresh_steps(table, self.known["registered"]) >= np.minimum(steps, table.lengths)).all():
            return self.registered, self.known["registered"]
        return self.judged, self.known["judged"]


def find_contender(client: "MlflowClient", name: str, version: str) -> Contender:
    """Load a version, its golden forecast checked, with what its run keeps.

    Raises:
        ModelNotFound: There is no such version.
        ModelDamaged: Its files are not what was saved.
        RegistryUnavailable: The registry does not answer.
    """
    from mlflow.exceptions import MlflowException

    model = load(f"models:/{name}/{version}")
    judged = known = windows = None
    with registry_errors(), tempfile.TemporaryDirectory() as folder:
        try:
            kept = {
                file.path for part in (None, "backtest") for file in client.list_artifacts(model.run_id or "", part)
            }
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            kept = set()  # the run was deleted

        def fetch(path: str) -> Path | None:
            return Path(client.download_artifacts(model.run_id or "", path, folder)) if path in kept else None

        if file := fetch(KNOWN):
            known = pd.read_parquet(file)
            judged = Forecaster.load(path) if (path := fetch(JUDGED)) else model.forecaster
        if file := fetch(f"backtest/{WINDOWS}"):
            windows = pd.read_parquet(file)
    return Contender(name, version, model.run_id, model.forecaster, judged, known, windows)


def champion_version(client: "MlflowClient", name: str) -> str | None:
    """The version that is live, or None where none is."""
    from mlflow.exceptions import MlflowException

    with registry_errors():
        try:
            found = client.get_registered_model(name).aliases.get(CHAMPION)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            found = None
    return None if found is None else str(found)


def log_knowledge(
    client: "MlflowClient",
    run_id: str,
    judged: Forecaster,
    history: SeriesTable,
    table: SeriesTable | None,
    start: Contender | None,
) -> None:
    """Keep with a run the model that it judged, and until when that and the registered one know each series.

    Args:
        client: MLflow's client.
        run_id: The run.
        judged: The model that it judged.
        history: What that was trained on.
        table: What the registered model was trained on; None where it is the judged one.
        start: The version whose judged model the training started from.
    """
    known = {"judged": known_until(history), "registered": known_until(history if table is None else table)}
    if start is not None and start.known is not None:
        known = {
            name: pd.concat([until, start.known["judged"]]).groupby(level=0).max() for name, until in known.items()
        }
    with tempfile.TemporaryDirectory() as folder:
        pd.DataFrame(known).rename_axis("item_id").to_parquet(Path(folder) / KNOWN)
        if table is not None:
            judged.save(Path(folder) / JUDGED)
        client.log_artifacts(run_id, folder)


def known_until(table: SeriesTable) -> Known:
    """Until when someone who has seen a table knows each series."""
    return pd.Series(table.times((table.lengths - 1)[:, None])[:, 0], index=table.item_ids)


def fresh_steps(table: SeriesTable, known: Known) -> npt.NDArray[np.int64]:
    """`(N,)` how many of each series' last steps come after what is known: all of a series that is not.

    0 where times are dates here and plain steps there: that tells nothing.
    """
    if known.to_numpy().dtype.kind != table.starts.dtype.kind:
        return np.zeros(len(table), np.int64)
    ends = known_until(table)
    until = known.reindex(table.item_ids)
    new = until.isna().to_numpy()
    last = ends.to_numpy()
    steps = table.frequency.positions(until.fillna(ends).to_numpy().astype(last.dtype), last)[0]
    return np.where(new, table.lengths, np.clip(steps, 0, table.lengths))


def unseen(result: Backtest, known: Known) -> npt.NDArray[np.bool_]:
    """`(M,)` which windows of a backtest begin after what is known."""
    fresh = fresh_steps(result.table, known)[result.series]
    return result.table.lengths[result.series] - result.origins <= fresh
