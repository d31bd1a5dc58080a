"""The rows of a database's table or query, through SQLAlchemy, fetched a part at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from forecast.columns import Names
from forecast.errors import DataError, ParameterError, Problem
from pipelines.data.address import without_secrets

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult
    from sqlalchemy.engine import URL

BATCH = 1 << 16  # rows fetched at once
PASSWORD = "FORECAST_DATA_PASSWORD"  # noqa: S105 - where it is found


def query_batches(address: str, query: str, names: Names) -> Iterator[pa.Table]:
    """The rows of a query, of the columns needed alone, from a server-side cursor where there are such.

    The transaction is rolled back at the end: nothing in the database is changed.

    Args:
        address: SQLAlchemy's. A password it lacks is taken from the environment, FORECAST_DATA_PASSWORD; that of
            PostgreSQL also from where its own tools look for it (PGPASSWORD, ~/.pgpass).
        query: SQL, or a table's name (`counts`, `sales.counts`).
        names: Of the columns.

    Raises:
        DataError: The database does not answer, the query fails, or a column is missing.
        ParameterError: The address is none, or the driver is not installed.
    """
    import sqlalchemy as sa

    shown = without_secrets(address)
    url = _url(address, shown)
    try:
        engine = sa.create_engine(url, poolclass=sa.NullPool)
    except ImportError as error:
        hint = "pip install 'forecast-inside[postgres]'" if url.get_backend_name() == "postgresql" else "install it"
        problem = Problem(f"the driver of {shown!r} is not installed: {error}", hint, field="data")
        raise ParameterError(problem) from None
    with _asking(f"{shown!r} does not answer", "check the address, the user and the password", url):
        connection = engine.connect()
    with connection, _asking(f"the query on {shown!r} failed", "try it in the database's own shell", url):
        result = _execute(connection, query, names)
        found = list(result.keys())
        columns = [name for name in (*names.choose(found), *names.covariates.all) if name is not None]
        for rows in result.columns(*columns).partitions(BATCH):
            frame = pd.DataFrame.from_records(list(map(tuple, rows)), columns=columns, coerce_float=True)
            yield pa.Table.from_pandas(frame, preserve_index=False)


def _execute(connection: "Connection", query: str, names: Names) -> "CursorResult[Any]":
    import sqlalchemy as sa

    options = {"stream_results": True, "max_row_buffer": BATCH}
    if len(query.split()) > 1:
        result = connection.exec_driver_sql(query, execution_options={**options, "no_parameters": True})
        if not result.returns_rows:
            raise DataError("query-failed", Problem("the query gives no rows", "write a SELECT", field="query"))
        return result
    schema, _, name = query.strip().rpartition(".")
    found = [column["name"] for column in sa.inspect(connection).get_columns(name, schema or None)]
    columns = [one for one in (*names.choose(found), *names.covariates.all) if one is not None]
    table = sa.table(name, *map(sa.column, columns), schema=schema or None)
    return connection.execute(sa.select(*table.columns), execution_options=options)


def _url(address: str, shown: str) -> "URL":
    """The address with its driver and password.

    Raises:
        ParameterError: It is none.
        DataError: It names a file of SQLite that is not there (connecting would make an empty one).
    """
    import sqlalchemy as sa

    try:
        url = sa.make_url(address)
    except (sa.exc.ArgumentError, ValueError):
        hint = "write postgresql://USER@HOST/DATABASE, or leave --query out for files"
        raise ParameterError(Problem(f"{shown!r} is not a database's address", hint, field="data")) from None
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    file = url.database if url.get_backend_name() == "sqlite" else None
    if file and file != ":memory:" and not file.startswith("file:") and not Path(file).exists():
        problem = Problem(f"there is no database file {file!r}", "check the address", field="data")
        raise DataError("no-such-file", problem)
    if url.username and not url.password and os.environ.get(PASSWORD):
        url = url.set(password=os.environ[PASSWORD])
    return url


@contextmanager
def _asking(detail: str, hint: str, url: "URL") -> Iterator[None]:
    """Faults of the database, in this library's words, which hold no password."""
    import sqlalchemy as sa

    try:
        yield
    except sa.exc.NoSuchTableError as error:
        problem = Problem(f"{detail}: there is no table {str(error)!r}", "check --query", field="query")
        raise DataError("query-failed", problem) from None
    except sa.exc.SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0][:300]
        if url.password:
            reason = reason.replace(str(url.password), "***")
        raise DataError("query-failed", Problem(f"{detail}: {without_secrets(reason)}", hint, field="data")) from None
