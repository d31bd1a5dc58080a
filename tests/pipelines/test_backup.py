"""Backup and restore of the embedded store: the same forecasts in another folder, and nothing by halves."""

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock

from forecast.errors import ParameterError
from pipelines.backup.swap import STAGE, check_whole, replaced, settle
from tests.conftest import clean_environment, run_forecast


@pytest.fixture(scope="module")
def backup(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of the store in which a model was trained."""
    destination = tmp_path_factory.mktemp("backups") / "monday"
    done = run_forecast(trained, "backup", str(destination))
    assert done.returncode == 0, done.stderr
    files = json.loads((destination / "manifest.json").read_text())["files"]
    assert f"holds {len(files)} files" in done.stdout
    assert "files/mlflow.db" in files
    assert not [name for name in files if name.endswith((".lock", "-wal", "-shm"))]
    return destination


def forecasts(folder: Path, table_path: Path) -> pd.DataFrame:
    words = ["predict", "--model", "counts/1", "--data", str(table_path), "--output", "forecasts.parquet"]
    done = run_forecast(folder, *words)
    assert done.returncode == 0, done.stderr
    return pd.read_parquet(folder / "forecasts.parquet")


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm", ".lock"))
    }


def test_a_restored_store_forecasts_the_same_in_another_folder(
    backup: Path, trained: Path, table_path: Path, tmp_path: Path
) -> None:
    before = forecasts(trained, table_path)
    away = trained.with_name("moved away")
    done = run_forecast(tmp_path, "restore", str(backup))
    assert done.returncode == 0, done.stderr
    (trained / ".forecast").rename(away)  # so that no address can lead back to it
    try:
        pd.testing.assert_frame_equal(forecasts(tmp_path, table_path), before)
    finally:
        away.rename(trained / ".forecast")
    with closing(sqlite3.connect(tmp_path / ".forecast" / "mlflow.db")) as database:
        dump = "\n".join(database.iterdump())
    assert (tmp_path / ".forecast" / "artifacts").as_uri() in dump
    assert f"'{(trained / '.forecast').as_uri()}/" not in dump
    assert not (tmp_path / ".forecast" / STAGE).exists()


def test_a_store_that_is_there_goes_only_when_told(backup: Path, tmp_path: Path) -> None:
    assert run_forecast(tmp_path, "restore", str(backup)).returncode == 0
    extra = tmp_path / ".forecast" / "artifacts" / "later"
    extra.write_text("made after the backup")
    refused = run_forecast(tmp_path, "restore", str(backup))
    assert refused.returncode == 2
    assert "there is a store in" in refused.stderr
    assert "--replace" in refused.stderr
    assert extra.exists()
    (tmp_path / ".forecast" / "running").mkdir(exist_ok=True)
    with FileLock(tmp_path / ".forecast" / "running" / "abc.lock"):
        busy = run_forecast(tmp_path, "restore", str(backup), "--replace")
    assert busy.returncode == 2
    assert "a process works on run abc" in busy.stderr
    assert extra.exists()
    done = run_forecast(tmp_path, "restore", str(backup), "--replace")
    assert done.returncode == 0, done.stderr
    assert not extra.exists()
    assert content(tmp_path / ".forecast").keys() == content(backup / "files").keys()


def test_what_is_no_whole_backup_changes_nothing(backup: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(backup, tmp_path / "copy")
    weights = next(copy.rglob("*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[100] ^= 1
    weights.write_bytes(data)
    golden = next(copy.rglob("golden.json"))
    golden.unlink()
    damaged = run_forecast(tmp_path, "restore", "copy")
    assert damaged.returncode == 2
    assert f"{weights.name} is damaged; take another backup" in damaged.stderr
    assert f"{golden.name} is missing" in damaged.stderr
    manifest = copy / "manifest.json"
    manifest.write_text(manifest.read_text().replace("files/mlflow.db", "files/../../mlflow.db"))
    assert "leads out of the backup" in run_forecast(tmp_path, "restore", "copy").stderr
    manifest.unlink()
    assert "copy is no backup: manifest.json cannot be read" in run_forecast(tmp_path, "restore", "copy").stderr
    assert not (tmp_path / ".forecast").exists()


def test_places_that_cannot_be_used(trained: Path, backup: Path, tmp_path: Path) -> None:
    def complaint(folder: Path, *words: str, **environment: str) -> str:
        done = run_forecast(folder, *words, **environment)
        assert done.returncode == 2, done.stdout
        assert "Traceback" not in done.stderr
        return done.stderr

    assert "there is no store in" in complaint(tmp_path, "backup", "x")
    assert "is there already; choose a new name" in complaint(trained, "backup", str(backup))
    assert "lies in the store itself" in complaint(trained, "backup", ".forecast/backup")
    assert "a backup cannot be made in" in complaint(trained, "backup", "no/such/place")
    assert "go together" in complaint(trained, "backup", "x", "--database", "postgresql:///x")
    url = "http://user:secret@127.0.0.1:9"
    told = complaint(trained, "backup", "x", MLFLOW_TRACKING_URI=url)
    assert "http://127.0.0.1:9 does not say where its database and artifacts are" in told
    server = ["--database", "sqlite:///x", "--artifacts", str(tmp_path)]
    assert "is not the address of a PostgreSQL database" in complaint(trained, "backup", "x", *server)
    server[1] = "postgresql:///x"
    assert "of the other kind of store (embedded)" in complaint(trained, "restore", str(backup), *server)
    assert not (trained / "x").exists()


@pytest.mark.parametrize("moment", ["fill", "inside"])
def test_a_replacement_that_fails_is_taken_back(tmp_path: Path, moment: str) -> None:
    (tmp_path / "old").write_text("old")

    def fill(new: Path) -> None:
        (new / "new").write_text("new")
        if moment == "fill":
            raise OSError("no space")

    with pytest.raises(OSError, match="no"), replaced(tmp_path, fill):  # noqa: PT012
        assert content(tmp_path).keys() >= {"new"}
        raise OSError("no database")
    assert content(tmp_path) == {"old": b"old"}


def die_in_a_replacement(folder: Path, moment: str) -> str:
    """Replace what is in a folder, and be killed inside, or while what was there is deleted; returns the identity."""
    script = (
        "import os, pathlib, shutil; from pipelines.backup.swap import replaced\n"
        "die = lambda *_, **__: os.kill(os.getpid(), 9)\n"
        "with replaced(pathlib.Path('.'), lambda new: (new / 'new').write_text('new')) as identity:\n"
        f"    pathlib.Path('../identity').write_text(identity); {moment}\n"
    )
    (folder / "old").write_text("old")
    subprocess.run([sys.executable, "-c", script], cwd=folder, env=clean_environment(), check=False)
    return (folder.parent / "identity").read_text()


@pytest.mark.parametrize("final", [True, False])
def test_a_replacement_whose_process_died_is_ended_one_way_or_the_other(tmp_path: Path, final: bool) -> None:
    recorded = die_in_a_replacement(tmp_path, "die()")
    with pytest.raises(ParameterError, match="has not ended"):
        check_whole(tmp_path)
    settle(tmp_path, lambda identity: final and identity == recorded)
    assert content(tmp_path) == ({"new": b"new"} if final else {"old": b"old"})


def test_a_replacement_that_is_done_stays_even_where_the_old_could_not_be_deleted(tmp_path: Path) -> None:
    die_in_a_replacement(tmp_path, "shutil.rmtree = die")
    check_whole(tmp_path)
    settle(tmp_path, lambda identity: False)
    assert content(tmp_path) == {"new": b"new"}


@pytest.mark.slow
def test_killed_at_any_moment_the_store_is_the_old_or_the_new(backup: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from pipelines.cli import main; main()"]
    assert run_forecast(tmp_path, "restore", str(backup)).returncode == 0
    mark = tmp_path / ".forecast" / "mark"
    for number in range(12):
        mark.write_text("the old store")
        process = subprocess.Popen(
            [*command, "restore", str(backup), "--replace"], cwd=tmp_path, env=clean_environment()
        )
        stage = tmp_path / ".forecast" / STAGE
        while process.poll() is None and not stage.exists():
            time.sleep(0.0005)
        time.sleep(0.002 * number)
        process.kill()
        process.wait()
        settle(tmp_path / ".forecast", lambda identity: False)
        names = set(content(tmp_path / ".forecast"))
        assert set(content(backup / "files")) <= names
        assert not stage.exists()
