"""Promotion: which version of a model is live, decided by figures, written down, and taken back."""

import shutil
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from rich.console import Console

from forecast.errors import ModelNotFound, ParameterError, Problem
from forecast.reference import CHAMPION
from forecast.table import SeriesTable
from pipelines.contender import Contender, champion_version, find_contender
from pipelines.evaluation import METRIC, THIS, best_baseline
from pipelines.gate import MORE_DATA, Evidence, fair_windows, judge, verdict, weigh
from pipelines.history import Action, former_champions, mark_runs, reconcile, write
from pipelines.record.note import spaced
from pipelines.record.note import verdict as in_words
from pipelines.registry import register
from pipelines.runs import checkpoint_folder, patiently
from pipelines.tracking import connect, registry_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from pipelines.train import TrainedRun


@dataclass(frozen=True)
class Registration:
    """What became of a version.

    Attributes:
        version: Its number in the registry.
        promoted: Whether it is the champion now.
        reason: Why, or why not, as one sentence.
    """

    version: str
    promoted: bool
    reason: str


def publish(name: str, run: "TrainedRun", console: Console, promote: bool = True) -> Registration:
    """Register a trained model, and make it the champion if it is better than what there is.

    The first champion must beat every naive baseline; for a later one see `gate.verdict`.

    Args:
        name: The registered model, made where there is none.
        run: What was trained.
        console: Where it is told that the registry is away.
        promote: Whether it may go live; otherwise it is registered, and `forecast promote` can decide later.

    Raises:
        RegistryUnavailable: The registry does not answer.
    """
    client = connect()
    number = patiently(lambda: _register(client, name, run), console)
    reason = f"it was asked for so; decide with: forecast promote {name} --version {number}"
    outcome = Registration(number, False, reason)
    if promote:
        outcome = patiently(lambda: _decide(client, name, number, run.evidence), console)
    # Only now is nothing left to do for a command that goes on where this one may have been cut off.
    mark = f"@{CHAMPION}" if outcome.promoted else ""
    patiently(lambda: client.set_tag(run.run_id, "registered", f"{name}/{number}{mark}"), console)
    shutil.rmtree(checkpoint_folder(run.run_id), ignore_errors=True)
    return outcome


def promote_version(name: str, version: str, table: SeriesTable | None = None) -> Registration:
    """Make a version the champion if it is better than the one that is live.

    Args:
        name: The registered model.
        version: The challenger.
        table: Series to compare the two on: on what comes after the data both were trained on, or else by the
            models that their runs judged. Without, by the errors that both runs recorded of the same windows.

    Raises:
        ModelNotFound: There is no such version.
        ParameterError: It cannot be judged.
        RegistryUnavailable: The registry does not answer.
    """
    client = connect()
    challenger = find_contender(client, name, version)
    live = champion_version(client, name)
    if live == version:
        return Registration(version, True, "it is already")
    champion = find_contender(client, name, live) if live else None
    if table is None:
        if challenger.windows is None:
            raise ParameterError(Problem(f"the run of {name}/{version} has no record of its errors", MORE_DATA))
        evidence = weigh(challenger.windows, champion)
    else:
        evidence = _judge_both(challenger, champion, table)
    return _decide(client, name, version, evidence)


def force(name: str, version: str, reason: str) -> Registration:
    """Make a version the champion because somebody says so.

    Raises:
        ModelNotFound: There is no such version.
        ModelDamaged: Its files are not what was saved.
        ParameterError: There is no reason.
        RegistryUnavailable: The registry does not answer.
    """
    if not reason.strip():
        raise ParameterError(Problem("--force needs a reason", 'say why: --reason "…"; the history keeps it'))
    client = connect()
    find_contender(client, name, version)  # is there, and loads
    _, live = reconcile(client, name)
    if live == version:
        return Registration(version, True, "it is already")
    write(client, name, "forced", version, version, live, reason)
    _go_live(client, name, version, live)
    return Registration(version, True, f"forced: {reason}")


def rollback(name: str, reason: str = "") -> Registration:
    """Put the previous champion back; again, and it is the one before that.

    Raises:
        ModelNotFound: There is no such model, or no champion to go back to.
        ModelDamaged: Its files are not what was saved.
        RegistryUnavailable: The registry does not answer.
    """
    client = connect()
    decisions, live = reconcile(client, name)
    for version in reversed(former_champions(decisions)):
        try:
            find_contender(client, name, version)
        except ModelNotFound:
            continue  # was deleted since
        why = reason or f"back from version {live}"
        write(client, name, "rolled back", version, version, live, why)
        _go_live(client, name, version, live)
        return Registration(version, True, why)
    problem = Problem(f"no version of {name!r} was champion before {live}", f"see forecast promote {name} --history")
    raise ModelNotFound(problem)


def _register(client: "MlflowClient", name: str, run: "TrainedRun") -> str:
    """Register a trained model, with its figures as tags and in words; the version."""
    naive, origin = best_baseline(run.leaderboard), client.get_run(run.run_id).data.tags
    figures = {key: f"{value:.4f}" for key, value in run.leaderboard[THIS].items() if isfinite(value)}
    known = {key: origin[key] for key in ("network", "data", "recipe", "prediction_length") if key in origin}
    tags = {**known, **figures, "baseline": naive, "baseline_mase": f"{run.leaderboard[naive][METRIC]:.4f}"}
    number = register(name, run.model_uri, tags)
    about = f"{run.forecaster.config.label}, {run.forecaster.prediction_length} steps ahead."
    verdict = in_words(run.leaderboard, run.evidence.windows)
    client.update_model_version(name, number, f"{about} {verdict}\n\n{spaced(run.leaderboard)}\n")
    if not client.get_registered_model(name).description:
        client.update_registered_model(
            name,
            f"Forecasts of {origin.get('data', name)}. The version with the alias `{CHAMPION}` is live; "
            f'`forecast promote "{name}" --history` tells who was, when and why.',
        )
    return number


def _judge_both(challenger: Contender, champion: Contender | None, table: SeriesTable) -> Evidence:
    horizon, windows = fair_windows(challenger, champion, table)
    stand_in = challenger.stand_in(table, windows * horizon)
    if stand_in is None:
        raise ParameterError(
            Problem(
                f"the run of {challenger.name}/{challenger.version} has no record of what it learnt from",
                "train it anew, or decide yourself (--force --reason)",
            )
        )
    model, known = stand_in
    return judge(model, champion, table, horizon, windows, known)[1]


def _decide(client: "MlflowClient", name: str, version: str, evidence: Evidence) -> Registration:
    promoted, reason = verdict(evidence)
    _, live = reconcile(client, name)
    if live != evidence.over:  # another command was faster: the one that is live now has to be beaten
        return promote_version(name, version)
    action: Action = "promoted" if promoted else "kept"
    write(client, name, action, version, version if promoted else live, live, reason, evidence.figures)
    with registry_errors():
        client.set_model_version_tag(name, version, "gate", reason)
    if promoted:
        _go_live(client, name, version, live)
    return Registration(version, promoted, reason)


def _go_live(client: "MlflowClient", name: str, version: str, over: str | None) -> None:
    """Move the alias, and mark the runs by which one is live."""
    with registry_errors():
        client.set_registered_model_alias(name, CHAMPION, version)
        mark_runs(client, name, over, version)
