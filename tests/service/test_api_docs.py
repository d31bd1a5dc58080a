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
EXAMPLES = re.findall(r"^```bash\n(curl [^`]*?)^```\n\n```json\n(.*?)^```", API, re.MULTILINE | re.DOTALL)
FILES_ONLY = {
    "no-such-file",
    "unreadable-file",
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
    assert len(EXAMPLES) == API.count("```json") == 8


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
    sources = Path(settings.__file__).read_text() + Path(access_settings.__file__).read_text()
    read = set(re.findall(r"FORECAST_[A-Z_]+|MLFLOW_TRACKING_URI", sources))
    listed = set(re.findall(r"^\| `([A-Z_]+)`", API, re.MULTILINE))
    assert listed == read


def test_the_bulk_example(service: Service) -> None:
    command, shown = re.findall(r"^```bash\n(curl [^`]*?)^```\n\n```ndjson\n(.*?)^```", API, re.MULTILINE | re.DOTALL)[
        0
    ]
    here = command.replace("http://127.0.0.1:8000", service.url)
    done = subprocess.run(["bash", "-c", here], capture_output=True, text=True, check=True)
    answered, expected = ([json.loads(line) for line in text.splitlines()] for text in (done.stdout, shown))
    assert shape(answered) == shape(expected)
    assert [line["item_id"] for line in answered] == ["quay", "pier"]


def test_the_client_example(service: Service) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", API, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(code.replace("http://127.0.0.1:8000", service.url), names)
    assert list(names["forecasts"]) == ["item_id", "timestamp", "mean", "0.1", "0.5", "0.9"]
    assert len(names["forecasts"]) == 3
