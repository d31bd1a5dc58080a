"""The study: every trial so far, in a database beside the tracking store, so that a search can go on later."""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from filelock import FileLock, Timeout

from forecast.errors import ParameterError, Problem, RegistryUnavailable
from pipelines.tracking import embedded_folder

if TYPE_CHECKING:
    from optuna import Study
    from optuna.pruners import BasePruner
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial

PATIENCE = 60  # seconds that one process waits for another's writing

State = Literal["complete", "pruned", "failed", "stopped"]
"""How a trial ended: judged, given up early, unable to go on, or stopped with the search (and not counted)."""

Identity = Mapping[str, Mapping[str, Any]]
"""What all trials of a study have in common, by part: data, settings, space, metric."""


def study_address() -> str:
    """Where the studies are."""
    return f"sqlite:///{embedded_folder() / 'studies.db'}"


def open_storage() -> "RDBStorage":
    """The database of the studies, made where it is not there yet."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    folder = embedded_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "studies.lock"):
        return optuna.storages.RDBStorage(study_address(), engine_kwargs={"connect_args": {"timeout": PATIENCE}})


@contextmanager
def open_study(name: str, identity: Identity, seed: int, anew: bool) -> "Iterator[Study]":
    """A study for this process alone: a new one, or the one of that name to go on with.

    Trials that a process left behind unfinished, because it was killed, end as stopped.

    Args:
        name: The study.
        identity: What its trials have in common.
        seed: Of the sampler, which also goes by the number of trials there are.
        anew: Whether to forget the study that there is.

    Raises:
        ParameterError: Another process works on it, or its trials were of other data, settings or another space.
        RegistryUnavailable: The database cannot be read or written.
    """
    lock = FileLock(embedded_folder() / f"study {re.sub(r'[^A-Za-z0-9_.-]', '-', name)}.lock")
    with study_errors():
        storage = open_storage()
    try:
        lock.acquire(timeout=0)
    except Timeout:
        hint = "wait for it, or take another --name"
        raise ParameterError(Problem(f"the study {name!r} is being tuned by another process", hint)) from None
    try:
        with study_errors():
            study = _load(storage, name, identity, seed, anew)
        yield study
    finally:
        lock.release()


@contextmanager
def study_errors() -> Iterator[None]:
    """Turn the errors of the studies' database into this library's."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        reason = str(error.__cause__ or error).splitlines()[0][:300]
        hint = "see that the folder can be written and the disk is not full, then repeat the command: it goes on"
        raise RegistryUnavailable(
            Problem(f"the studies in {study_address()} cannot be read or written: {reason}", hint)
        ) from error


def pruner() -> "BasePruner":
    """What gives up a trial: being worse than half of the others at the same point of their training.

    Before the fourth tenth of a training, while the learning rate still rises, that says little.
    """
    from optuna.pruners import MedianPruner

    return MedianPruner(n_startup_trials=5, n_warmup_steps=4)


def trial_state(trial: "FrozenTrial") -> State | None:
    """How a trial ended; None while it runs or waits."""
    from optuna.trial import TrialState

    if trial.state == TrialState.FAIL:
        return "failed" if trial.user_attrs.get("state") == "failed" else "stopped"
    ends: dict[TrialState, State] = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}
    return ends.get(trial.state)


def counts(study: "Study") -> dict[State, int]:
    """How many trials ended how."""
    ended = [trial_state(trial) for trial in study.get_trials(deepcopy=False)]
    states: tuple[State, ...] = ("complete", "pruned", "failed", "stopped")
    return {state: ended.count(state) for state in states}


def best_trial(study: "Study") -> "FrozenTrial | None":
    """The best of those judged; None where there is none yet."""
    judged = [trial for trial in study.get_trials(deepcopy=False) if trial_state(trial) == "complete"]
    return min(judged, key=lambda trial: (trial.value, trial.number), default=None)


def first_trial(study: "Study") -> "FrozenTrial | None":
    """The trial of the settings that the search started from, once it is judged."""
    judged = [trial for trial in study.get_trials(deepcopy=False) if trial_state(trial) == "complete"]
    return next((trial for trial in judged if trial.user_attrs.get("start")), None)


def _load(storage: "RDBStorage", name: str, identity: Identity, seed: int, anew: bool) -> "Study":
    import optuna
    from optuna.trial import TrialState

    if anew and name in optuna.get_all_study_names(storage):
        optuna.delete_study(study_name=name, storage=storage)
    study = optuna.create_study(
        study_name=name,
        storage=storage,
        load_if_exists=True,
        pruner=pruner(),
    )
    there = study.get_trials(deepcopy=False)
    study.sampler = optuna.samplers.TPESampler(seed=(seed + len(there)) % 2**32)
    if "identity" in study.user_attrs:
        _check_identity(name, study.user_attrs["identity"], identity)
    else:
        study.set_user_attr("identity", {part: dict(held) for part, held in identity.items()})
    for trial in there:
        if trial.state == TrialState.RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)
    return study


def _check_identity(name: str, old: Identity, new: Identity) -> None:
    """Refuse to compare trials of different things with each other."""
    differing = []
    for part, held in new.items():
        before = old.get(part, {})
        keys = [key for key in {**before, **held} if before.get(key) != held.get(key)]
        differing += [f"{part} ({_change(key, before, held)})" for key in keys[:3]]
    if differing:
        raise ParameterError(
            Problem(
                f"the study {name!r} in {study_address()} is of other {', '.join(differing)}",
                "take another --name, or forget the old study with --anew",
            )
        )


def _change(key: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    shown = [str(side[key])[:40] if key in side else "not there" for side in (before, now)]
    return f"{key}: {shown[0]}, now {shown[1]}"
