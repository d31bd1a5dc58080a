"""What waits, by model: requests in the order they came, models in turns."""

from collections import deque
from collections.abc import Mapping

from forecast import Forecaster
from forecast.together import Question
from service.engine.job import Job

Slice = tuple[Job, Question]


class Queue:
    """Jobs that wait, counted in windows."""

    def __init__(self) -> None:
        self._jobs: dict[Forecaster, deque[Job]] = {}
        self._windows: dict[Forecaster, int] = {}

    @property
    def windows(self) -> Mapping[Forecaster, int]:
        """By model, how many windows wait."""
        return self._windows

    def put(self, job: Job) -> None:
        """Let a job wait behind the others for its model."""
        self._jobs.setdefault(job.forecaster, deque()).append(job)
        self._windows[job.forecaster] = self._windows.get(job.forecaster, 0) + job.windows_left

    def take(self, windows: int) -> list[Slice]:
        """What the next pass computes: for one model, in order, as much as fits into so many windows.

        Jobs that nobody waits for any more are dropped on the way. What is left of a large one goes to the
        end of the queue, and its model behind the others.

        Returns:
            Slices of jobs for one model; empty where nothing waits.
        """
        while self._jobs:
            model, jobs = next(iter(self._jobs.items()))
            slices: list[Slice] = []
            unfinished = []
            room = windows
            while jobs and room > 0:
                job = jobs.popleft()
                before = job.windows_left
                if not job.is_wanted():
                    self._windows[model] -= before
                    continue
                if slices and job.windows_each > room:
                    jobs.appendleft(job)
                    break
                slices.append((job, job.slice(room)))
                taken = before - job.windows_left
                room -= taken
                self._windows[model] -= taken
                if job.windows_left:
                    unfinished.append(job)
            jobs.extend(unfinished)
            del self._jobs[model]
            if jobs:
                self._jobs[model] = jobs
            else:
                del self._windows[model]
            if slices:
                return slices
        return []
