"""A PostgreSQL database through its own programs: pg_dump, pg_restore and psql."""

import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from forecast.errors import ParameterError, Problem, RegistryUnavailable

# Around a dump's own statements. Whatever is cut off before COMMIT, by whoever is killed, did not happen.
_BEGIN = """
BEGIN;
SET LOCAL lock_timeout = '30s';
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema() LOOP
        EXECUTE format('DROP TABLE %I CASCADE', name);
    END LOOP;
    FOR name IN SELECT oid::regprocedure FROM pg_proc routine WHERE pronamespace = current_schema()::regnamespace
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = routine.oid AND deptype = 'e') -- of an extension
    LOOP
        EXECUTE 'DROP ROUTINE ' || name || ' CASCADE'; -- what MLflow's triggers call
    END LOOP;
END $$;
"""
_COMMIT = """
RESET search_path;
COMMENT ON TABLE alembic_version IS 'restored {identity}';
COMMIT;
"""
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
_COMMENT = "SELECT obj_description(to_regclass('alembic_version'), 'pg_class')"


class Postgres:
    """A database; the password goes to the programs by their environment, where other users cannot read it.

    Args:
        address: postgresql://user:password@host:port/name; parts left out are libpq's (PGHOST, PGUSER, ...).

    Raises:
        ParameterError: It is no such address.
    """

    def __init__(self, address: str) -> None:
        try:
            url = make_url(address)
            backend = url.get_backend_name()
        except ArgumentError:
            backend = ""
        if backend != "postgresql":
            detail = "--database is not the address of a PostgreSQL database"
            raise ParameterError(Problem(detail, "write postgresql://user@host:5432/name", field="database"))
        parts = {
            "PGHOST": url.host or url.query.get("host"),
            "PGPORT": url.port,
            "PGUSER": url.username,
            "PGPASSWORD": url.password,
            "PGDATABASE": url.database,
        }
        self._environment = {**os.environ, **{name: str(value) for name, value in parts.items() if value}}

    def tables(self) -> set[str]:
        """The tables there are.

        Raises:
            RegistryUnavailable: The database does not answer.
        """
        return set(self._run("psql", "-XAt", "-c", _TABLES).split())

    def dump(self, path: Path) -> None:
        """Copy the database as it is at this moment to a file, in pg_dump's custom format.

        Raises:
            RegistryUnavailable: The database does not answer.
        """
        self._run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={path}")

    def restore(self, path: Path, identity: str) -> None:
        """Replace all tables by those of a dump, or none.

        Args:
            path: What `dump` wrote.
            identity: Recorded with them, see `restored`.

        Raises:
            RegistryUnavailable: The database does not answer, or refuses; it is as it was.
        """
        read = [self._program("pg_restore"), "--no-owner", "--no-privileges", "--file=-", str(path)]
        write = [self._program("psql"), "-Xq", "--set=ON_ERROR_STOP=1", "--output=/dev/null"]
        with (
            tempfile.TemporaryFile() as complaints,
            subprocess.Popen(write, env=self._environment, stdin=subprocess.PIPE, stderr=complaints) as writer,
            subprocess.Popen(read, env=self._environment, stdout=subprocess.PIPE, stderr=complaints) as reader,
        ):
            with suppress(BrokenPipeError), cast(BinaryIO, writer.stdin) as into:
                into.write(_BEGIN.encode())
                shutil.copyfileobj(cast(BinaryIO, reader.stdout), into)
                if reader.wait() == 0:
                    into.write(_COMMIT.format(identity=identity).encode())
            reader.kill()  # where the other gave up before it
            if writer.wait() or reader.wait():
                complaints.seek(0)
                raise self._refused(complaints.read().decode(errors="replace"))

    def restored(self) -> str | None:
        """The identity that the last restore recorded."""
        return self._run("psql", "-XAt", "-c", _COMMENT).strip().removeprefix("restored ") or None

    def _run(self, program: str, *words: str) -> str:
        done = subprocess.run(
            [self._program(program), *words], env=self._environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise self._refused(done.stderr)
        return done.stdout

    def _program(self, name: str) -> str:
        found = shutil.which(name)
        if found is None:
            hint = "install PostgreSQL's client programs, of the database's major version (Debian: postgresql-client)"
            raise ParameterError(Problem(f"there is no program {name} here", hint))
        return found

    def _refused(self, complaints: str) -> RegistryUnavailable:
        lines = [line for line in complaints.splitlines() if "error" in line.lower()] or complaints.splitlines()[-1:]
        where = self._environment.get("PGHOST", "this machine")
        detail = f"the database on {where} cannot be used: {' '.join(lines[:2]) or 'no reason given'}"
        hint = "check --database, that the database runs, and that nothing else (a server, a training) works in it"
        return RegistryUnavailable(Problem(detail, hint))
