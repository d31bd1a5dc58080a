"""The process in which models are looked into: what `Inspector` asks. Run as `python -m service.inspection`."""

import os
from contextlib import suppress
from functools import lru_cache
from typing import Any

from service.child import answer_questions, connect

IDLE = 300.0  # seconds without a question after which it ends: it holds some hundred megabytes
COURTESY = 10  # niceness: forecasts go first, and a look still has a tenth of a core that they keep busy


def main() -> None:
    pipe = connect()
    # What looks import when they need it: nobody should wait for that at a low priority.
    import captum.attr  # noqa: F401
    import torch._dynamo  # noqa: F401

    from forecast import Forecaster
    from service.inspection.looking import look

    with suppress(OSError):
        os.nice(COURTESY)
    load = lru_cache(1)(Forecaster.load)

    def answer(question: tuple[str, Any, Any, Any]) -> bytes:
        folder, table, lead_time, version = question
        return look(load(folder), table, lead_time, version)

    answer_questions(pipe, answer, IDLE)


if __name__ == "__main__":
    main()
