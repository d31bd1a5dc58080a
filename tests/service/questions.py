"""What the processes of test_child run: each question is a word and its argument."""

import os
import time
from typing import Any

from forecast.errors import DataError, Problem
from service.child import answer_questions, connect


def answer(question: tuple[str, Any]) -> Any:
    word, argument = question
    if word == "sleep":
        time.sleep(argument)
    elif word == "die":
        os._exit(argument)
    elif word == "refuse":
        raise DataError("bad-target", [Problem(argument, "mend it", item_id="a"), Problem("more")])
    elif word == "break":
        raise KeyError(argument)
    elif word == "echo":
        return argument
    return os.getpid()


if __name__ == "__main__":
    answer_questions(connect(), answer, float(os.environ.get("IDLE", "60")))
