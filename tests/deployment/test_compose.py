"""What docker-compose.yml and the Dockerfile promise: pinned, watched, contained, with no secret in them."""

import re
import tomllib
from typing import Any

import pytest

import forecast
from tests.deployment.compose import FILE, ROOT, SETTINGS, load, variables, words

DOCKERFILE = (ROOT / "Dockerfile").read_text()
STACK = load(**SETTINGS)
SERVICES: dict[str, dict[str, Any]] = STACK["services"]
every_service = pytest.mark.parametrize("name", SERVICES)


def test_the_parts_of_the_stack() -> None:
    assert set(SERVICES) == {"database", "migrate", "mlflow", "service", "forecast", "maintenance"}
    assert {name: one["profiles"] for name, one in SERVICES.items() if "profiles" in one} == {
        "forecast": ["train"],
        "maintenance": ["maintenance"],
    }
    for one in SERVICES.values():
        assert set(one.get("depends_on", {})) <= set(SERVICES)
        assert set(one["networks"]) <= set(STACK["networks"])
        named = {volume.partition(":")[0] for volume in one.get("volumes", []) if not volume.startswith((".", "/"))}
        assert named <= set(STACK["volumes"])


@every_service
def test_every_service_is_watched_or_ends(name: str) -> None:
    service = SERVICES[name]
    if service["restart"] == "no":
        assert "healthcheck" not in service
    else:
        test = service["healthcheck"]["test"]
        assert test[0] == "CMD"
        assert "/health" not in " ".join(test).replace("/health.py", "")  # MLflow's says nothing
        assert "psql" in test or any(part in word for word in test for part in ("/readyz", "/v1/", "/api/"))


@every_service
def test_who_waits_for_a_service_can_see_it_come(name: str) -> None:
    for other, awaited in SERVICES[name].get("depends_on", {}).items():
        ends = SERVICES[other]["restart"] == "no"
        assert awaited == {"condition": "service_completed_successfully" if ends else "service_healthy"}


@every_service
def test_every_service_is_contained(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"cpus", "memory", "pids"} <= set(service["deploy"]["resources"]["limits"])
    assert not {"privileged", "network_mode", "pid", "cap_add", "devices"} & set(service)
    for port in service.get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)
    user = service.get("user")
    if user is None:  # the image's own
        assert service["image"].startswith("forecast-inside:")
        user = re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE)[-1]
    assert user.partition(":")[0] not in ("root", "0", "")
    for volume in service.get("volumes", []):
        assert "docker.sock" not in volume


@every_service
def test_every_version_is_pinned(name: str) -> None:
    image, _, tag = SERVICES[name]["image"].partition(":")
    assert tag == (forecast.__version__ if image == "forecast-inside" else "17.10-trixie")


def test_the_image_is_made_of_pinned_versions() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert bases
    assert all(re.fullmatch(r"python:3\.11\.\d+-slim-\w+", base) for base in bases)
    assert len(set(bases)) == 1
    assert "-c constraints.txt '.[server]'" in DOCKERFILE
    assert "server" in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    client, server = re.search(r"postgresql-client-(\d+)", DOCKERFILE), SERVICES["database"]["image"]
    assert client is not None
    assert server.startswith(f"postgres:{client[1]}.")  # pg_dump refuses a newer server
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for name in " ".join(copied).split():
        assert (ROOT / name).exists()
        assert name in kept


def test_secrets_come_from_the_environment_alone() -> None:
    secrets = re.findall(r"^ +(\w*(?:PASSWORD|SECRET_KEY)): (.+)$", FILE.read_text(), re.MULTILINE)
    assert len(secrets) >= 6
    for name, value in secrets:
        assert re.fullmatch(r"\$\{\w+:\?[^}]*\}|(\$\{\w+:-)+\}+", value.partition(" #")[0]), (
            name
        )  # needed, or nothing by default
    given = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert [name for name, value in given.items() if ("PASSWORD" in name or "SECRET" in name) and value] == []


@pytest.mark.parametrize("missing", SETTINGS)
def test_nothing_starts_without_what_is_needed(missing: str) -> None:
    with pytest.raises(LookupError, match=f"{missing}: .*in .env, see .env.example"):
        load(**{name: value for name, value in SETTINGS.items() if name != missing})


def test_the_example_of_settings_names_all_there_are() -> None:
    assert set(re.findall(r"^#?(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)) == variables()


def test_the_server_has_users_once_there_is_a_password() -> None:
    assert "--app-name" not in words(SERVICES["mlflow"]["command"])
    locked = load(**SETTINGS, MLFLOW_AUTH_ADMIN_PASSWORD="a password")["services"]
    assert words(locked["mlflow"]["command"])[-2:] == ["--app-name", "basic-auth"]
    assert locked["service"]["environment"]["MLFLOW_TRACKING_PASSWORD"] == "a password"
    assert locked["forecast"]["environment"]["MLFLOW_TRACKING_PASSWORD"] == "a password"


def test_the_server_may_be_called_by_the_name_it_is_called_by() -> None:
    allowed = SERVICES["mlflow"]["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    for name in ("service", "forecast"):
        host = SERVICES[name]["environment"]["MLFLOW_TRACKING_URI"].removeprefix("http://")
        assert host in allowed  # as a whole, with its port
        assert host == "mlflow:5000"
