"""The files that forecasts are written to, bit by bit: Parquet or CSV."""

from pathlib import Path
from typing import Protocol, Self

import pyarrow as pa
import pyarrow.parquet as pq

from forecast.errors import ParameterError, Problem


class Output(Protocol):
    """A file that tables are added to; it is whole once it is closed."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def write(self, table: pa.Table) -> None:
        """Add rows."""


class ParquetOutput:
    """A Parquet file, a row group for each table."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        texts = [field.name for field in schema if not pa.types.is_floating(field.type)]
        # Forecasts hardly repeat and hardly compress: a dictionary of them would cost more than it saves.
        self._writer = pq.ParquetWriter(path, schema, use_dictionary=texts, write_batch_size=1 << 16)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table)


class CsvOutput:
    """A CSV file with a header."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        schema.empty_table().to_pandas().to_csv(self._file, index=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, table: pa.Table) -> None:
        table.to_pandas().to_csv(self._file, index=False, header=False)


OUTPUTS: dict[str, type[ParquetOutput] | type[CsvOutput]] = {".parquet": ParquetOutput, ".csv": CsvOutput}


def check_output(path: Path, option: str = "output") -> None:
    """Refuse a file name that cannot be written to, before any work is done.

    Raises:
        ParameterError: The suffix is unknown or the folder is not there.
    """
    if path.suffix.lower() not in OUTPUTS:
        detail = f"--{option} {str(path)!r} is neither .parquet nor .csv"
        raise ParameterError(Problem(detail, "choose one of them", field=option))
    if not path.resolve().parent.is_dir():
        detail = f"--{option}: there is no folder {str(path.resolve().parent)!r}"
        raise ParameterError(Problem(detail, "create it", field=option))
