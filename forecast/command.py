"""The command that runs a module in a process of its own."""

import sys


def module_command(module: str, *words: str) -> list[str]:
    """As `python -m MODULE WORDS`, but that nothing is imported from the folder that somebody happens to be in.

    It may hold a `service` of its own, or a file of the name of a library.
    """
    return [sys.executable, "-P", "-m", module, *words]
