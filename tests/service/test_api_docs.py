"""docs/service.md: every example is answered as shown, and every kind of problem is listed."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from service.problems import KINDS
from tests.service.conftest import Service

API = (Path(__file__).parents[2] / "docs" / "service.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```bash\n(curl .*?)^```\n\n```json\n(.*?)^```", API, re.MULTILINE | re.DOTALL)
FILES_ONLY = {
    "no-such-file",
    "unreadable-file",
    "missing-column",
    "duplicate-column",
}  # what the library finds, but no request can have


def shape(value: Any) -> Any:
    """An answer without its numbers, and without what only a registered model has."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items() if key not in ("version", "run_id", "alias")}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__ if not isinstance(value, int | float) else "number"


@pytest.mark.parametrize(("command", "shown"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_examples(service: Service, command: str, shown: str) -> None:
    here = command.replace("http://127.0.0.1:8000", service.url)
    done = subprocess.run(["bash", "-c", here], capture_output=True, text=True, check=True)
    answer, expected = json.loads(done.stdout), json.loads(shown)
    assert shape(answer) == shape(expected)
    for given, documented in zip(answer.get("predictions", ()), expected.get("predictions", ()), strict=True):
        for field in ("item_id", "timestamps", "steps", "warnings"):
            assert given.get(field) == documented.get(field)
    assert answer.get("type") == expected.get("type")


def test_there_are_examples_of_every_route() -> None:
    assert len(EXAMPLES) == API.count("```json") == 7


def test_problems_are_all_listed() -> None:
    listed = {
        (kind, int(status)) for kind, status in re.findall(r"^\| `/problems/([a-z-]+)` \| (\d+)", API, re.MULTILINE)
    }
    assert listed == {(kind, status) for kind, (status, _) in KINDS.items() if kind not in FILES_ONLY}
