"""The gate: whether a challenger goes live, from what it and the champion did on the same windows."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from forecast.auto import validation_windows
from forecast.backtest import Backtest
from forecast.comparison import Comparison, compare
from forecast.errors import ParameterError, Problem
from forecast.forecaster import Forecaster
from forecast.table import SeriesTable
from pipelines.contender import Contender, Known, fresh_steps, unseen
from pipelines.evaluation import CHAMPION_ROW, METRIC, THIS, comparable, evaluate
from pipelines.record import window_errors

TOLERANCE = 0.01  # of the champion's error: what the interval may leave open to be lost
WINDOW = ["item_id", "cutoff", "horizon"]

UNFAIR = "there are no windows that neither it nor the champion has learnt from"
MORE_DATA = "give data that go on after what both were trained on (--data), or decide yourself (--force --reason)"


@dataclass(frozen=True)
class Evidence:
    """How a challenger did, next to the naive baselines and the champion, on the same windows.

    Attributes:
        mase: The challenger's.
        baseline, baseline_mase: The best naive baseline's.
        windows, horizon: How many windows of how many steps.
        over: The champion's version; None where none is live.
        comparison: To the champion; None where none is live, or where it cannot be judged fairly.
        obstacle: Why it cannot.
    """

    mase: float
    baseline: str
    baseline_mase: float
    windows: int
    horizon: int
    over: str | None = None
    comparison: Comparison | None = None
    obstacle: str = ""

    @property
    def figures(self) -> dict[str, float]:
        """The numbers, for the history."""
        numbers = {"mase": self.mase, "baseline_mase": self.baseline_mase, "windows": self.windows}
        if self.comparison is not None:
            found = self.comparison
            numbers |= {"champion_mase": found.champion, "improvement": found.improvement, "series": found.series}
            numbers |= {"low": found.low, "high": found.high}
        return {key: value for key, value in numbers.items() if np.isfinite(value)}


def verdict(evidence: Evidence) -> tuple[bool, str]:
    """Whether the challenger goes live, and why as one sentence.

    It must beat the best naive baseline. It must also have the smaller error than the champion, and the 90 %
    interval of what it saves must not reach further below nothing than 1 % of the champion's error.
    """
    found, where = evidence.comparison, f"over {evidence.windows} windows of {evidence.horizon} steps"
    mine, naive = f"its MASE {evidence.mase:.3f}", f"{evidence.baseline}'s {evidence.baseline_mase:.3f}"
    if not evidence.mase < evidence.baseline_mase:
        more = evidence.mase / evidence.baseline_mase - 1 if evidence.baseline_mase > 0 else float("inf")
        besides = f"; the champion's (version {evidence.over}) is {found.champion:.3f}" if found else ""
        return False, f"{mine} does not beat {naive}, {more:.1%} more {where}{besides}"
    if evidence.over is None:
        return True, f"{mine} beats {naive} {where}"
    if found is None:
        return False, f"{evidence.obstacle}; {mine} beats {naive} {where}"
    champion = f"the champion's (version {evidence.over}) {found.champion:.3f}"
    if not found.is_telling:
        return False, f"{found.windows} windows are too few to tell {mine} from {champion}; wait for more data"
    interval = f"(90 % interval {found.low:.1%} to {found.high:.1%}) {where}"
    if found.improvement <= 0:
        return False, f"{mine} does not beat {champion}, which it improves by {found.improvement:.1%} {interval}"
    better = f"{mine} beats {champion} by {found.improvement:.1%} {interval}"
    if found.low < -TOLERANCE:
        return False, f"{better}, which is not sure enough: it may be {-found.low:.1%} worse"
    return True, f"{better}, and {naive}"


def judge(
    challenger: Forecaster,
    champion: Contender | None,
    table: SeriesTable,
    horizon: int,
    windows: int,
    known: Known | None = None,
) -> tuple[Backtest, Evidence]:
    """Judge a challenger, the naive baselines and the champion on the last windows of each series.

    The champion is judged on windows that it has learnt nothing from, by the model that stands in for it there;
    where there are none, by the errors that its run recorded of the same windows.

    Args:
        challenger: A model that was trained without these windows.
        champion: The live version, where there is one.
        table: The series.
        horizon: Steps of a window.
        windows: How many of each series.
        known: Until when the challenger knows series nevertheless; windows before that are left out of the comparison.

    Returns:
        The forecasts, among which the champion's are only where it had learnt from none of the windows; and
        what follows from them.
    """
    rival = None
    if champion is not None and comparable(champion.registered, table, horizon):
        rival = champion.stand_in(table, windows * horizon)
    models = {THIS: challenger} | ({CHAMPION_ROW: rival[0]} if rival else {})
    result = evaluate(models, table, horizon, windows)
    errors = window_errors(result)  # all windows by one model, then by the next
    theirs = None
    if rival:
        fair = unseen(result, rival[1])
        theirs = errors[np.tile(fair, len(result.forecasts)) & (errors["model"] == CHAMPION_ROW)]
        if not fair.all():
            kept = {name: answer for name, answer in result.forecasts.items() if name != CHAMPION_ROW}
            result, errors = replace(result, forecasts=kept), errors[errors["model"] != CHAMPION_ROW]
    if known is not None:
        errors = errors[np.tile(unseen(result, known), len(result.forecasts))]
    return result, weigh(errors, champion, theirs)


def weigh(errors: pd.DataFrame, champion: Contender | None, theirs: pd.DataFrame | None = None) -> Evidence:
    """Put a challenger's errors next to the champion's in the same windows.

    Args:
        errors: The challenger's and the naive baselines', as `record.window_errors` gives them.
        champion: The live version, where there is one.
        theirs: Its errors, where it was judged anew; those that its run recorded count otherwise.

    Raises:
        ParameterError: The challenger has no errors.
    """
    mine = errors[errors["model"] == THIS]
    if not mine[METRIC].notna().any():
        raise ParameterError(Problem("there are no windows that this version has not learnt from", MORE_DATA))
    if champion is None:
        return _evidence(mine, errors)
    recorded = None if champion.windows is None else champion.windows[champion.windows["model"] == THIS]
    pairs = next((pairs for one in (theirs, recorded) if len(pairs := _pairs(mine, one))), None)
    if pairs is None:
        return replace(_evidence(mine, errors), over=champion.version, obstacle=f"{UNFAIR}: {MORE_DATA}")
    comparison = compare(
        pairs[f"{METRIC} champion"].to_numpy(),
        pairs[METRIC].to_numpy(),
        pd.factorize(pairs["item_id"])[0],
        pd.factorize(pairs["cutoff"], sort=True)[0],
    )
    return replace(_evidence(pairs, errors), over=champion.version, comparison=comparison)


def fair_windows(challenger: Contender, champion: Contender | None, table: SeriesTable) -> tuple[int, int]:
    """Steps of a window, and how many, to judge two versions on.

    Those after what both registered models have learnt from, where there are any, and shorter ones where
    less than a whole horizon has come since; otherwise as many as training judges on.
    """
    horizon = challenger.registered.prediction_length
    windows = validation_windows(challenger.registered.config, table)
    known = [one.known["registered"] for one in (challenger, champion) if one is not None and one.known is not None]
    fresh = np.min([table.lengths, *(fresh_steps(table, until) for until in known)], axis=0)
    if not known or not fresh.any():
        return horizon, windows
    horizon = min(horizon, int(np.median(fresh[fresh > 0])))
    return horizon, min(windows, int(fresh.max()) // horizon)


def _pairs(mine: pd.DataFrame, theirs: pd.DataFrame | None) -> pd.DataFrame:
    """The windows that both have an error in, where what came was the same."""
    if theirs is None or mine["cutoff"].dtype.kind != theirs["cutoff"].dtype.kind:
        return mine.iloc[:0]
    both = _keyed(mine).merge(_keyed(theirs), on=WINDOW, suffixes=("", " champion"))
    same = np.isclose(both["size"], both["size champion"]) & (both["observed"] == both["observed champion"])
    return both[same & both[METRIC].notna() & both[f"{METRIC} champion"].notna()]


def _keyed(errors: pd.DataFrame) -> pd.DataFrame:
    """Errors by windows whose times can be compared, whatever their zone."""
    if errors["cutoff"].dtype.kind == "M":
        errors = errors.assign(cutoff=pd.to_datetime(errors["cutoff"], utc=True))
    return errors[[*WINDOW, METRIC, "size", "observed"]]


def _evidence(mine: pd.DataFrame, errors: pd.DataFrame) -> Evidence:
    """The challenger in these windows, next to the naive baselines in the same."""
    naive = errors[errors["model"].str.contains("naive")]
    here = naive.assign(cutoff=_keyed(naive)["cutoff"]).merge(mine.assign(cutoff=_keyed(mine)["cutoff"])[WINDOW])
    means = here.groupby("model")[METRIC].mean()
    best = str(means.idxmin())
    horizon = int(mine["horizon"].iloc[0])
    return Evidence(float(mine[METRIC].mean()), best, float(means[best]), len(mine), horizon)
