"""A process of its own that answers questions over a pipe.

It is started with the first question, ends by itself when none comes for a while, is killed when it takes too long, and
replaced when it has ended. What it runs is a module with a `main` of its own, which calls `connect` and
`answer_questions`: this one is imported by both sides, and imports nothing that takes long.
"""

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from threading import Lock
from typing import Any

from forecast.command import module_command
from forecast.errors import ForecastError

_ENDED = (EOFError, OSError)  # what a pipe says whose other end is gone


class ChildBroke(Exception):
    """The process could not answer, for a reason that its log tells."""


class Child:
    """The process, from outside. It is asked one question at a time.

    Args:
        module: What it runs, as with `python -m`.
        environment: Its environment; this process's own unless given.
    """

    def __init__(self, module: str, environment: Mapping[str, str] | None = None) -> None:
        self._command = module_command(module)
        self._environment = environment
        self._turn = Lock()
        self._closed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None

    @property
    def pid(self) -> int | None:
        """The process's number, where there is one."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the process, where there is none, and do not wait for it."""
        with self._turn:
            self._open()

    def ask(self, question: Any, seconds: float) -> Any:
        """Ask, and wait for the answer.

        Args:
            question: What the process's `answer` is given; anything that can be pickled.
            seconds: That the answer may take, the process's start included.

        Raises:
            ForecastError: As the process's `answer` did.
            TimeoutError: The time is up; the process was killed.
            ChildBroke: The process could not answer, or ended while it was asked, and so did its successor.
        """
        with self._turn:
            until = time.monotonic() + seconds
            for last in (False, True):  # the process may just have ended by itself
                pipe = self._open()
                try:
                    pipe.send(question)
                    in_time = pipe.poll(max(0.0, until - time.monotonic()))
                    outcome = pipe.recv() if in_time else None
                except _ENDED as error:
                    self._end()
                    if last or self._closed:
                        raise ChildBroke("the process ended while it was asked") from error
                else:
                    break
            if not in_time:
                self._end()
                raise TimeoutError(f"no answer within {seconds:g} s")
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def close(self) -> None:
        """End the process for good, whatever it is at."""
        self._closed = True
        if (process := self._process) is not None:
            process.kill()
        with self._turn:
            self._end()

    def _open(self) -> Connection:
        if self._pipe is None or self._process is None or self._process.poll() is not None:
            self._end()
            self._pipe, other = Pipe()
            command = [*self._command, str(other.fileno())]
            self._process = subprocess.Popen(command, env=self._environment, pass_fds=[other.fileno()])
            other.close()
        return self._pipe

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None


def connect() -> Connection:
    """In the process: the pipe to who asks. The first thing that its `main` does, before what takes long to import."""
    from service.logs import log_to_stderr

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, whose end is this one's
    log_to_stderr()
    return Connection(int(sys.argv[1]))


def answer_questions(pipe: Connection, answer: Callable[[Any], Any], idle: float) -> None:
    """In the process: its life, until there was no question for so many seconds, or nobody is left to ask one.

    Args:
        pipe: From `connect`.
        answer: Makes of a question what can be pickled. A `ForecastError` that it raises is raised where it was asked.
        idle: Seconds.
    """
    with suppress(*_ENDED):
        while pipe.poll(idle):
            question = pipe.recv()
            outcome: Any
            try:
                outcome = answer(question)
            except ForecastError as error:
                outcome = error
            except Exception as error:
                logging.getLogger("service").exception("a process of the service could not answer")
                outcome = ChildBroke(f"{type(error).__name__}: {error}")
            pipe.send(outcome)
