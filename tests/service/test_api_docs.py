"""docs/service.md: every example is answered as shown, and every kind of problem is listed."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from service import settings
from service.access import settings as access_settings
from service.problems import KINDS
from tests.service.conftest import Service

API = (Path(__file__).parents[2] / "docs" / "service.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```bash\n(curl (?:(?!^```).)*)^```\n\n```json\n(.*?)^```", API, re.MULTILINE | re.DOTALL)
SETTINGS = [Path(module.__file__) for module in (settings, access_settings)]
FILES_ONLY = {
    "no-such-file",
    "unreadable-file",
    "query-failed",
    "missing-column",
    "duplicate-column",
}  # what the library finds, but no request can have


def shape(value: Any) -> Any:
    """An answer without its numbers, and without what only a registered model has."""
    if isinstance(value, dict):
        registered = ("version", "run_id", "alias", "origin", "source")
        return {key: shape(inner) for key, inner in value.items() if key not in registered}
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
    assert len(EXAMPLES) == API.count("```json") == 10


def test_routes_are_all_listed(service: Service) -> None:
    listed = set(re.findall(r"^\| \[`((?:GET|POST) /[^`]*)`\]", API, re.MULTILINE))
    done = subprocess.run(["curl", "-s", f"{service.url}/openapi.json"], capture_output=True, text=True, check=True)
    paths = json.loads(done.stdout)["paths"]
    assert listed == {f"{method.upper()} {path}" for path, item in paths.items() for method in item}


def test_problems_are_all_listed() -> None:
    listed = {
        (kind, int(status)) for kind, status in re.findall(r"^\| `/problems/([a-z-]+)` \| (\d+)", API, re.MULTILINE)
    }
    assert listed == {(kind, status) for kind, (status, _) in KINDS.items() if kind not in FILES_ONLY}


def test_metrics_are_all_listed(service: Service) -> None:
    done = subprocess.run(["curl", "-s", f"{service.url}/metrics"], capture_output=True, text=True, check=True)
    told = set(re.findall(r"^# TYPE (forecast_\w+) ", done.stdout, re.MULTILINE))
    section = API[API.index("## GET /metrics") : API.index("## Errors")]
    listed = set(re.findall(r"`(forecast_\w+)", section))
    assert {name for name in told if not name.endswith("_created")} == listed


def test_settings_are_all_listed() -> None:
    read = set(re.findall(r"FORECAST_[A-Z_]+|MLFLOW_TRACKING_URI", "".join(file.read_text() for file in SETTINGS)))
    listed = set(re.findall(r"^\| `([A-Z_]+)`", API, re.MULTILINE))
    assert listed == read
