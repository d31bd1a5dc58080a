"""docker-compose.yml as Compose reads it: anchors merged, variables filled in."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
SETTINGS = {"POSTGRES_PASSWORD": "a database's password", "FORECAST_MODEL": "counts@champion"}  # that must be given
_INNERMOST = re.compile(r"\$\{(\w+)(?:(:[-+?])([^${}]*))?\}")


def load(**environment: str) -> dict[str, Any]:
    """The file with these variables set.

    Raises:
        LookupError: One that is needed is not set; the message is the file's.
    """
    return _filled(yaml.safe_load(FILE.read_text()), environment)


def variables() -> set[str]:
    """The variables that the file reads."""
    return set(re.findall(r"\$\{(\w+)", FILE.read_text()))


def words(command: str | list[str]) -> list[str]:
    """A command as the program gets it."""
    return shlex.split(command) if isinstance(command, str) else list(command)


def _filled(value: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner, environment) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, environment) for inner in value]
    while isinstance(value, str) and (found := _INNERMOST.search(value)):
        name, operator, other = found.groups()
        given = environment.get(name, "")
        if operator == ":?" and not given:
            raise LookupError(f"{name}: {other}")
        chosen = (other if given else "") if operator == ":+" else given or (other or "" if operator == ":-" else "")
        value = value[: found.start()] + chosen + value[found.end() :]
    return value
