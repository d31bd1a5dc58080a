"""Backup and restore of an MLflow server's store: a PostgreSQL database and a folder of artifacts."""

import os
from importlib.metadata import version
from pathlib import Path

from forecast.errors import ParameterError, Problem
from pipelines.backup.manifest import DUMP, FILES, Manifest, copy, describe, new_backup, read_backup
from pipelines.backup.postgres import Postgres
from pipelines.backup.swap import STAGE, alone, check_whole, is_empty, replaced, settle


def backup(destination: Path, database: str, artifacts: Path) -> Manifest:
    """Copy database and artifacts, while the server goes on.

    The database comes first, as it is at one moment: artifacts that it names are on the disk by then.

    Args:
        destination: The backup, a folder that is not there yet.
        database: Address of the database.
        artifacts: The folder that the server keeps artifacts in (`--artifacts-destination`).

    Raises:
        ParameterError: The destination or the store cannot be used.
        RegistryUnavailable: The database does not answer.
    """
    postgres = Postgres(database)
    if not artifacts.is_dir():
        raise ParameterError(Problem(f"there is no folder {artifacts}", "name the server's folder", field="artifacts"))
    if "alembic_version" not in postgres.tables():
        hint = "name the one that the MLflow server works with"
        raise ParameterError(Problem("the database holds no store of MLflow", hint, field="database"))
    check_whole(artifacts)
    manifest = Manifest(kind="server", origin=artifacts.resolve().as_uri(), mlflow=version("mlflow"))
    with new_backup(destination, manifest) as target:
        postgres.dump(target / DUMP)
        manifest.files[DUMP] = describe(target / DUMP)
        for root, folders, names in os.walk(artifacts):
            folders[:] = [folder for folder in folders if not folder.startswith(STAGE)]
            for path in (Path(root, name) for name in names):
                name = f"{FILES}/{path.relative_to(artifacts).as_posix()}"
                try:
                    manifest.files[name] = copy(path, target / name)
                except FileNotFoundError:  # deleted meanwhile
                    continue
    return manifest


def restore(source: Path, database: str, artifacts: Path, replace: bool) -> Manifest:
    """Put database and artifacts back; both, or neither.

    Args:
        source: A backup, which is checked first.
        database: Address of the database, which must be there, as a rule empty.
        artifacts: The server's folder of artifacts.
        replace: Whether a store that is there may go.

    Raises:
        DataError: The backup is none, or damaged.
        ParameterError: It is of another kind, or there is a store already.
        RegistryUnavailable: The database does not answer, or refuses.
    """
    manifest = read_backup(source, "server")
    postgres = Postgres(database)

    def fill(new: Path) -> None:
        for name in manifest.files:
            if name != DUMP:
                copy(source / name, new / Path(name).relative_to(FILES))

    with alone(artifacts):
        settle(artifacts, lambda identity: postgres.restored() == identity)
        for what, empty in (("the database", not postgres.tables()), (f"{artifacts}", is_empty(artifacts))):
            if not empty and not replace:
                hint = "to put the backup in place of what is there: --replace"
                raise ParameterError(Problem(f"{what} is not empty", hint))
        with replaced(artifacts, fill) as identity:
            postgres.restore(source / DUMP, identity)
    return manifest
