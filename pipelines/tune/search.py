"""The search itself: trials asked of Optuna, run by worker processes, and told how they ended."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from rich.console import Console

from forecast.errors import ParameterError, RegistryUnavailable
from pipelines.tune.progress import SearchProgress
from pipelines.tune.report import with_values
from pipelines.tune.runs import Runs
from pipelines.tune.space import Space
from pipelines.tune.study import best_trial, counts, trial_state
from pipelines.tune.trial import Bench, Outcome, Task, prepare, run_trial

if TYPE_CHECKING:
    from optuna import Study, Trial

SECONDS_BETWEEN_LOOKS = 0.5
DIED = Outcome("failed", reason="its process was ended from outside, perhaps for want of memory")

Told = list[signal.Signals]
"""The signals that asked the search to stop."""


@dataclass(frozen=True)
class Effort:
    """How much is searched.

    Attributes:
        trials: Trials in all, those of an earlier search included.
        max_minutes: How long at the most.
        jobs: Trials at the same time, each in a process with one thread.
    """

    trials: int
    max_minutes: float | None = None
    jobs: int = 1


class Search:
    """Runs trials until there are enough, the time is up or a signal says so.

    Args:
        settings: The tree that `TrainConfig` is built from, before a trial's settings are put into it.
        space: What is searched.
        study: The trials so far.
        runs: Where each trial has its run.
        bench: What trials work on.
        effort: How much is searched.
    """

    def __init__(
        self, settings: dict[str, Any], space: Space, study: "Study", runs: Runs, bench: Bench, effort: Effort
    ) -> None:
        self.settings, self.space, self.study, self.runs = settings, space, study, runs
        self.bench, self.effort = bench, effort
        self._context = get_context("spawn")  # torch's threads do not live through a fork
        self._stop = self._context.Event()
        self._pool: ProcessPoolExecutor | None = None
        self._told: Told = []
        self._running: dict[Future[Outcome], tuple[Trial, str]] = {}

    def run(self, told: Told, console: Console) -> None:
        """Run trials; on return none is running.

        Raises:
            ParameterError: The settings that the search starts from cannot be used.
            RegistryUnavailable: The tracking store or the database of the studies does not answer.
        """
        self._told = told
        self._enqueue_start()
        seconds = None if self.effort.max_minutes is None else 60 * self.effort.max_minutes
        end = float("inf") if seconds is None else time.monotonic() + seconds
        try:
            with SearchProgress(console, self.bench.metric, self.effort.trials, self._ended(), seconds) as progress:
                while True:
                    if not self._stop.is_set() and (told or time.monotonic() > end):
                        console.print(f"{'told to stop' if told else 'the time is up'}: trials under way do not count")
                        self._stop.set()
                    while self._wanted():
                        self._start_trial()
                    if not self._running:
                        break
                    for future in wait(self._running, SECONDS_BETWEEN_LOOKS, FIRST_COMPLETED).done:
                        self._end_trial(future, progress)
        finally:
            self._stop.set()
            wait(self._running)
            for trial, _ in self._running.values():
                self._tell(trial, Outcome("stopped"))
            if self._pool is not None:
                self._pool.shutdown()

    def _enqueue_start(self) -> None:
        """See that the settings which the search starts from are tried, and first."""
        from optuna.trial import TrialState

        for trial in self.study.get_trials(deepcopy=False):
            counts_as_tried = trial_state(trial) in ("complete", "failed") and trial.user_attrs.get("start")
            if counts_as_tried or trial.state == TrialState.WAITING:
                return
        self.study.enqueue_trial(self.space.start)

    def _ended(self) -> int:
        """Trials that came to an end of their own."""
        return sum(number for state, number in counts(self.study).items() if state != "stopped")

    def _wanted(self) -> bool:
        """Whether another trial is to be started."""
        if self._told or self._stop.is_set() or len(self._running) == self.effort.jobs:
            return False
        return self._ended() + len(self._running) < self.effort.trials

    def _start_trial(self) -> None:
        trial = self.study.ask(self.space.distributions)
        values = self.space.settings(trial.params)
        start = trial.params == self.space.start
        if start:
            trial.set_user_attr("start", True)
        run_id = self.runs.start_trial(trial.number, values)
        trial.set_user_attr("run_id", run_id)
        task = Task(trial.number, run_id, with_values(self.settings, values), start)
        with _held_back(signal.SIGINT):  # workers inherit that: Ctrl-C is for this process, which tells them
            try:
                future = self._workers().submit(run_trial, task)
            except BrokenProcessPool:
                self._pool = None
                future = self._workers().submit(run_trial, task)
        self._running[future] = trial, run_id

    def _end_trial(self, future: Future[Outcome], progress: SearchProgress) -> None:
        try:
            outcome = future.result()
        except BrokenProcessPool:
            # Who stops a whole group of processes does not mean this trial.
            outcome, self._pool = Outcome("stopped") if self._told else DIED, None
        trial, run_id = self._running.pop(future)
        self._tell(trial, outcome)
        best = best_trial(self.study)
        error = best.value if best else None
        self.runs.end_trial(run_id, outcome)
        if outcome.state == "complete" and error is not None:
            self.runs.log_best(self._ended(), self.bench.metric, error)
        progress.ended(trial.number, outcome, error, counts(self.study))
        if outcome.problems and outcome.state == "stopped":
            raise RegistryUnavailable(outcome.problems[0])
        if outcome.problems:
            raise ParameterError(outcome.problems)

    def _tell(self, trial: "Trial", outcome: Outcome) -> None:
        from optuna.trial import TrialState

        if outcome.state == "complete":
            self.study.tell(trial, outcome.metrics[self.bench.metric])
            return
        trial.set_user_attr("state", outcome.state)
        trial.set_user_attr("reason", outcome.reason)
        self.study.tell(trial, state=TrialState.PRUNED if outcome.state == "pruned" else TrialState.FAIL)

    def _workers(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.effort.jobs, self._context, prepare, (self.bench, self._stop))
        return self._pool


@contextmanager
def told_to_stop() -> Iterator[Told]:
    """Collect Ctrl-C and SIGTERM instead of ending by them, so that what is under way can be ended in order."""
    told: Told = []
    stops = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(stop, lambda number, _: told.append(signal.Signals(number))) for stop in stops]
    try:
        yield told
    finally:
        for stop, handler in zip(stops, before, strict=True):
            signal.signal(stop, handler)


@contextmanager
def _held_back(held: signal.Signals) -> Iterator[None]:
    """Let a signal wait, also for the processes started meanwhile, which never get it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {held})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {held})
