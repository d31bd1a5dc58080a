"""The process in which MLflow's own client asks a registry: what `ApartRegistry` asks.

Run as `python -m service.registry`, with the registry's address in MLFLOW_TRACKING_URI.
"""

import os
from contextlib import suppress

from service.child import answer_questions, connect

IDLE = 60.0  # seconds without a question after which it ends


def main() -> None:
    pipe = connect()
    from forecast.errors import RegistryUnavailable
    from service.registry.client import ClientRegistry

    registry = ClientRegistry(os.environ["MLFLOW_TRACKING_URI"])
    with suppress(RegistryUnavailable):  # who asks will be told
        registry.prepare()
    answer_questions(pipe, lambda question: getattr(registry, question[0])(*question[1:]), IDLE)


if __name__ == "__main__":
    main()
