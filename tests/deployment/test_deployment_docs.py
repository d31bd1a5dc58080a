"""docs/deployment.md: its commands fit the compose file and the command line, and those of the embedded store run."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import typer

from pipelines.cli import app
from tests.conftest import run_forecast
from tests.deployment.compose import ROOT, SETTINGS, load, variables

TEXT = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
COMMANDS = [
    line for block in re.findall(r"^```bash\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL) for line in block.splitlines()
]
SERVICES = load(**SETTINGS)["services"]


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("docker compose")])
def test_compose_commands_fit_the_file(line: str) -> None:
    action, *words = shlex.split(line)[2:]
    assert action in {"build", "up", "run", "stop"}
    named = [word for word in words if not word.startswith("-")]
    if action == "run":
        assert words[0] == "--rm"
        service = SERVICES[named[0]]
        assert service["profiles"]
        assert service["entrypoint"] == ["forecast"]
        command, *arguments = words[2:]
        typer.main.get_command(app).commands[command].make_context(command, arguments)  # parsed, not run
        for place in (word for word in arguments if word.startswith("/")):
            assert any(f":/{place.split('/')[1]}" in volume for volume in service["volumes"])
    else:
        assert set(named) <= set(SERVICES)


def test_the_services_and_settings_named_are_there() -> None:
    table = re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE)
    assert table == list(SERVICES)
    profiles = re.findall(r"profile `(\w+)`", TEXT)
    assert profiles == [profile for service in SERVICES.values() for profile in service.get("profiles", [])]
    clients = {"MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"}
    named = set(re.findall(r"\b(?:MLFLOW|POSTGRES|SERVICE|FORECAST)_[A-Z_]+", TEXT))
    assert named <= variables() | clients
    for volume in re.findall(r"volume `forecast_(\w+)`", TEXT):
        assert volume in load(**SETTINGS)["volumes"]
    for port in re.findall(r"127\.0\.0\.1:(\d+)", TEXT):
        assert any(f"{port}:{port}" in " ".join(service.get("ports", [])) for service in SERVICES.values())


def test_the_embedded_store_is_backed_up_and_restored_as_shown(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / ".forecast", tmp_path / ".forecast")
    commands = [shlex.split(line)[1:] for line in COMMANDS if line.startswith("forecast ")]
    assert [words[0] for words in commands] == ["backup", "restore"]
    for words in commands:
        done = run_forecast(tmp_path, *words)
        assert done.returncode == 0, done.stderr
