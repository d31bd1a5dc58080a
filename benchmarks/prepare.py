"""Turn the published benchmark files into the long tables that the benchmarks read.

    python -m benchmarks.prepare DOWNLOADS DATA

DOWNLOADS is a folder with these files, as published on GitHub; sets whose files are not there are left out:

| Set | Repository | Files |
|---|---|---|
| m4_hourly | Mcompetitions/M4-methods | Dataset/Train/Hourly-train.csv, Dataset/Test/Hourly-test.csv |
| m4_weekly | Mcompetitions/M4-methods | Dataset/Train/Weekly-train.csv, Dataset/Test/Weekly-test.csv |
| tourism_monthly | ellisp/Tcomp-r-package | source-data/monthly_in.csv, source-data/monthly_oos.csv |
| tourism_quarterly | ellisp/Tcomp-r-package | source-data/quarterly_in.csv, source-data/quarterly_oos.csv |
| vic_elec | skforecast/skforecast-datasets | data/vic_electricity.csv |

DATA gets `<set>_train.parquet` and `<set>_test.parquet` (`vic_elec_utc.parquet`, which has no published
split): `item_id, timestamp, target` and covariates. M4 was published without times that can be relied on:
every series starts at the same made-up one, a Monday's midnight or a Sunday.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

M4 = {"hourly": ("2015-01-05", "1h"), "weekly": ("2015-01-04", "7D")}  # the made-up start, and the step
TOURISM = {"monthly": 1, "quarterly": 3}  # months in a step
HEADER = 3  # rows above a tourism series' values: how many there are, year and period of the first


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit((__doc__ or "").split("\n\n")[1])
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    tables = prepare(source)
    for name, frame in tables.items():
        frame.to_parquet(target / f"{name}.parquet", index=False)
        print(f"{name}: {frame.item_id.nunique()} series, {len(frame)} rows")
    if not tables:
        sys.exit(f"none of the published files is in {source}: the head of benchmarks/prepare.py lists them")


def prepare(source: Path) -> dict[str, pd.DataFrame]:
    """Read every set whose files are in a folder.

    Returns:
        Long tables by the name of the file they belong into.
    """
    tables: dict[str, pd.DataFrame] = {}
    for period in M4:
        _add(tables, f"m4_{period}", source, (f"{period.title()}-train.csv", f"{period.title()}-test.csv"), m4)
    for period in TOURISM:
        _add(tables, f"tourism_{period}", source, (f"{period}_in.csv", f"{period}_oos.csv"), tourism)
    if (source / "vic_electricity.csv").is_file():
        tables["vic_elec_utc"] = vic_elec(source / "vic_electricity.csv")
    return tables


Split = Callable[[Path, Path], tuple[pd.DataFrame, pd.DataFrame]]


def _add(tables: dict[str, pd.DataFrame], name: str, source: Path, files: tuple[str, str], read: Split) -> None:
    train, test = (source / file for file in files)
    if train.is_file() and test.is_file():
        tables[f"{name}_train"], tables[f"{name}_test"] = read(train, test)


def m4(train: Path, test: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """M4's wide files: a series a row, `V1` its name, then its values, the shorter ones padded with nothing."""
    start, step = M4[train.stem.removesuffix("-train").lower()]
    past, future = pd.read_csv(train, index_col="V1"), pd.read_csv(test, index_col="V1")
    lengths = past.notna().sum(axis=1)
    unit = pd.Timedelta(step).to_timedelta64().astype("m8[us]")
    starts = np.full(len(past), np.datetime64(start, "us"))
    ends = starts + lengths.reindex(future.index).to_numpy() * unit
    return _long(past.index, past.to_numpy(float), starts, unit), _long(
        future.index, future.to_numpy(float), ends, unit
    )


def tourism(train: Path, test: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tourism competition's wide files: a series a column, three rows of header, then its values."""
    past, future = _tourism_part(train), _tourism_part(test)
    return past, future


def _tourism_part(path: Path) -> pd.DataFrame:
    months = TOURISM[path.stem.split("_")[0]]
    wide = pd.read_csv(path)
    _, year, period = wide.iloc[:HEADER].to_numpy(float).astype(int)
    starts = (year - 1970).astype("M8[Y]").astype("M8[M]") + (period - 1) * months
    return _long(wide.columns, wide.iloc[HEADER:].to_numpy(float).T, starts, np.timedelta64(months, "M"))


def vic_elec(path: Path) -> pd.DataFrame:
    """Half-hourly electricity demand of Victoria, times in UTC."""
    frame = pd.read_csv(path)
    return pd.DataFrame(
        {
            "item_id": "victoria",
            "timestamp": pd.to_datetime(frame["Time"], utc=True).dt.tz_localize(None).astype("M8[us]"),
            "target": frame["Demand"].astype(float),
            "temperature": frame["Temperature"].astype(float),
            "holiday": frame["Holiday"].astype(int),
        }
    )


def _long(
    names: pd.Index, values: npt.NDArray[np.float64], starts: npt.NDArray[np.datetime64], step: np.timedelta64
) -> pd.DataFrame:
    """`(N, T)` values, padded with NaN, as a long table; series n starts at `starts[n]`."""
    series, position = np.nonzero(~np.isnan(values))
    times = starts[series] + position * step
    frame = {"item_id": names.astype("str")[series], "timestamp": times.astype("M8[us]")}
    return pd.DataFrame({**frame, "target": values[series, position]})


if __name__ == "__main__":
    main()
