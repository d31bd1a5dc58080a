"""Series from wherever a configuration says they are."""

from collections.abc import Iterator

import pandas as pd
import pyarrow as pa

from forecast.columns import Names
from forecast.config import CovariatesConfig
from forecast.covariates import CovariateNames
from forecast.errors import DataError, ParameterError, Problem
from forecast.series import read_series
from forecast.table import SeriesTable
from pipelines.data.address import is_database, without_secrets
from pipelines.data.files import find_files, is_one_file
from pipelines.settings import DataConfig


def read_data(config: DataConfig, covariates: CovariatesConfig) -> SeriesTable:
    """Read the series that a configuration names.

    Raises:
        DataError: They cannot be used; says what, where and what to do.
        ParameterError: The address needs a query, or a package that is not installed.
    """
    names = {"item_id": config.item_id, "timestamp": config.timestamp, "target": config.target}
    whole = config.query is None and is_one_file(config.path)
    data = config.path if whole else read_frame(config, covariates)
    return read_series(data, freq=config.freq, covariates=covariates, **names)


def read_frame(config: DataConfig, covariates: CovariatesConfig) -> pd.DataFrame:
    """The rows that a configuration names, of the columns needed alone, unchecked.

    They are read a part at a time, each series' name kept once.

    Raises:
        DataError: They cannot be reached or read, their files do not fit together, or there are none.
        ParameterError: As `read_data`.
    """
    names = Names(config.item_id, config.timestamp, config.target, CovariateNames.of(covariates))
    parts = [_with_dictionary(part, names) for part in _batches(config, names)]
    shown = without_secrets(config.path)
    if not sum(part.num_rows for part in parts):
        raise DataError("empty-table", Problem(f"there are no rows at {shown!r}", "check the address and the query"))
    try:
        table = pa.concat_tables(parts, promote_options="permissive").unify_dictionaries()
    except pa.ArrowException as error:
        problem = Problem(f"the rows at {shown!r} do not fit together: {error}", "give a column one type everywhere")
        raise DataError("unreadable-file", problem) from None
    del parts
    frame: pd.DataFrame = table.to_pandas(split_blocks=True, self_destruct=True, date_as_object=False)
    return frame


def _batches(config: DataConfig, names: Names) -> Iterator[pa.Table]:
    if config.query is not None:
        from pipelines.data.database import query_batches

        return query_batches(config.path, config.query, names)
    if is_database(config.path):
        problem = Problem(
            f"{without_secrets(config.path)!r} is a database, and --query is missing",
            'say --query "select ..." or --query TABLE',
            field="query",
        )
        raise ParameterError(problem)
    return find_files(config.path).batches(names)


def _with_dictionary(part: pa.Table, names: Names) -> pa.Table:
    """Item ids that are text, as numbers of the few that are there."""
    name = names.find("item_id", part.column_names)
    if name is not None:
        place, kind = part.column_names.index(name), part[name].type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            part = part.set_column(place, name, part[name].cast(pa.string()).dictionary_encode())
    return part.replace_schema_metadata()
