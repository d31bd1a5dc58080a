"""Our service with a leak in it, which the check for leaks must find: `python -m benchmarks.peers.leaking_app`."""

import sys
from typing import Any
from unittest.mock import patch

from service.__main__ import main
from service.app import create_app

LEAK = 200  # bytes for every request

_kept: list[bytearray] = []


def leaking_app(*arguments: Any) -> Any:
    """The application, around which every request leaves something behind."""
    app = create_app(*arguments)

    async def leak(scope: Any, receive: Any, send: Any) -> None:
        _kept.append(bytearray(LEAK))
        await app(scope, receive, send)

    return leak


if __name__ == "__main__":
    with patch("service.serving.create_app", leaking_app):
        sys.exit(main())
