"""The whole prediction: read, check, forecast and write a table, several pieces at once."""

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import pandas as pd
import pyarrow as pa
from rich.console import Console

from forecast import __version__
from forecast.columns import Names
from forecast.config import CovariatesConfig
from forecast.covariates import CovariateNames
from forecast.errors import PROBLEMS_TOLD, DataError, DataWarning, ParameterError, Problem
from forecast.forecaster import Forecaster
from forecast.levels import level_weights
from forecast.predictor import DEFAULT_LEVELS, check_horizon
from forecast.series import Missing
from pipelines.predict.job import Job, digest, run_in_order
from pipelines.predict.journal import Journal, Part
from pipelines.predict.output import OUTPUTS, check_output
from pipelines.predict.pieces import Future, Source
from pipelines.predict.progress import SeriesProgress
from pipelines.predict.rows import open_rows


@dataclass
class Summary:
    """What came of a prediction.

    Attributes:
        rejects_path: The file that tells of the series that are left out; there is one where some are.
        rows: Of the output.
        series: Of the data.
        reasons: How many series are left out for which reason: the code of an error.
        missing: What is missing in the series that are forecast.
    """

    rejects_path: Path
    rows: int = 0
    series: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    missing: Missing = field(default_factory=Missing)

    @property
    def rejected(self) -> int:
        """How many series are left out."""
        return self.reasons.total()

    def add(self, part: Part) -> None:
        """Count a part in."""
        self.rows += part.forecasts.num_rows
        self.series += part.counts["series"]
        self.reasons.update(part.rejects["reason"].to_pylist())
        self.missing += Missing(**part.counts["missing"])

    def __str__(self) -> str:
        reasons = ", ".join(f"{count:,} {code}" for code, count in self.reasons.most_common())
        left_out = f"{self.rejected:,} of {self.series:,} series are left out ({reasons})"
        return f"{left_out}; {str(self.rejects_path)!r} tells of each why"


def predict(
    model: Forecaster,
    data: str | Path | pd.DataFrame,
    output: Path,
    *,
    prediction_length: int | None = None,
    quantile_levels: Sequence[float] = DEFAULT_LEVELS,
    future: Path | None = None,
    columns: Names | None = None,
    freq: str | None = None,
    rejects: Path | None = None,
    max_rejected: float = 1.0,
    console: Console | None = None,
) -> Summary:
    """Forecast every series of a table, and write `item_id, timestamp, mean, 0.1, ...` in the table's order.

    Of Parquet files in which the rows of each series are together, only a few pieces are in memory at a time.
    The same call after one that was cut short goes on where that stopped, and ends with the same file.

    Args:
        model: Any trained forecaster.
        data: A frame, or Parquet or CSV files: one, a folder, a glob, or an address fsspec knows.
        output: The .parquet or .csv file to write. It appears whole or not at all.
        prediction_length: Steps; as many as the model was trained for when left out.
        quantile_levels: Levels in (0, 1).
        future: A file of what is known in advance, for a model with such covariates.
        columns: Names of the columns; the covariates are the model's.
        freq: pandas' alias of the frequency; the model's own when left out.
        rejects: The .parquet or .csv file to write of the series that are left out (`item_id, reason, detail,
            hint`), by default `OUTPUT.rejects.parquet`. Where none is, a file of an earlier run is removed.
        max_rejected: Share of the series that may be left out. If more are, or all, there is no output.
        console: Where to show the progress; nowhere when left out.

    Raises:
        DataError: The table cannot be read, or too many series cannot be forecast.
        ParameterError: The horizon, a level, a file's name or the frequency cannot be used, or the output cannot
            be written.
    """
    console = console or Console(quiet=True)
    rejects = rejects or output.with_suffix(f".rejects{output.suffix}")
    check_output(output)
    check_output(rejects, "rejects")
    horizon = model.prediction_length if prediction_length is None else prediction_length
    check_horizon(horizon, model.longest_horizon)
    level_weights(model.config.quantile_levels, quantile_levels)
    _check_share(max_rejected)
    names = columns or Names()
    source = _source(model, data, names)
    console.print(f"{len(source):,} series in {source.rows.count:,} rows")
    ahead = _future(model, future, names, source)
    job = Job.of(model, horizon, tuple(quantile_levels), source, freq)
    identity = {
        "version": __version__,
        "model": digest(model),
        "data": source.rows.identity,
        "future": ahead and ahead.rows.identity,
        "columns": [names.item_id, names.timestamp, names.target],
        "frequency": [str(job.clock.frequency), job.clock.given],
        "horizon": horizon,
        "schema": str(job.schema),
    }
    journal = Journal(output, identity)
    with _writing(), journal.open():
        if journal.stale:
            detail = "a run that was cut short was of another model, other data or other settings"
            warnings.warn(f"{detail}: starting afresh", DataWarning, stacklevel=2)
        summary = _run(job, source, ahead, journal, output, rejects, max_rejected, console)
    if summary.missing.steps:
        warnings.warn(str(summary.missing), DataWarning, stacklevel=2)
    caution = model.caution(horizon)
    if caution is not None:
        warnings.warn(caution, DataWarning, stacklevel=2)
    return summary


def _source(model: Forecaster, data: str | Path | pd.DataFrame, names: Names) -> Source:
    """The series to forecast."""
    wanted = Names(names.item_id, names.timestamp, names.target, CovariateNames.of(model.covariates))
    source = Source(open_rows(data, wanted), wanted)
    if source.apart is not None:
        detail = f"the rows of {source.apart!r} are not together, so the whole table is read into memory at once"
        warnings.warn(f"{detail}; sort it by series if it is too large for that", DataWarning, stacklevel=3)
    return source


def _future(model: Forecaster, path: Path | None, names: Names, source: Source) -> Future | None:
    """What is known in advance of these series."""
    if path is None:
        return None
    covariates: CovariatesConfig = model.covariates
    if not covariates.known:
        detail = "this model reads no covariates known in advance"
        raise ParameterError(Problem(detail, "leave --future out", field="future"))
    text = CovariateNames.of(covariates).text
    known = CovariateNames(covariates.known, text=text)
    return Future(path, Names(names.item_id, names.timestamp, covariates=known, has_target=False), source)


def _run(
    job: Job,
    source: Source,
    future: Future | None,
    journal: Journal,
    output: Path,
    rejects: Path,
    max_rejected: float,
    console: Console,
) -> Summary:
    """Forecast what is not finished yet, and put the files in their places."""
    plan, summary = source.plan(job.prediction_length), Summary(rejects)
    finished = plan[journal.finished - 1][1] if journal.finished else 0
    if finished:
        console.print(f"{finished:,} of {len(source):,} series are there from a run that was cut short: going on")
    draft = journal.folder / f"draft{output.suffix}"
    with (
        OUTPUTS[output.suffix.lower()](draft, job.schema) as file,
        SeriesProgress(console, len(source), finished) as progress,
    ):
        fresh = run_in_order(job.run, source.read(plan[journal.finished :], future))
        for part in chain(journal.parts(), map(journal.keep, fresh)):
            file.write(part.forecasts)
            summary.add(part)
            progress.update(summary.series)
    if summary.rejected:
        _write_rejects(journal, job.rejects_schema, rejects)
        _check_rejected(journal, summary, max_rejected)
    else:
        rejects.unlink(missing_ok=True)
    draft.replace(output.resolve())
    journal.remove()
    return summary


def _write_rejects(journal: Journal, schema: pa.Schema, path: Path) -> None:
    draft = path.with_name(f".{path.name}.draft")
    try:
        with OUTPUTS[path.suffix.lower()](draft, schema) as file:
            for part in journal.parts():
                file.write(part.rejects)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _check_rejected(journal: Journal, summary: Summary, most: float) -> None:
    """Refuse to go on with too little.

    Raises:
        DataError: More series are left out than may be, or all.
    """
    if summary.rejected < summary.series and summary.rejected <= most * summary.series:
        return
    told = pa.concat_tables(part.rejects for part in journal.parts()).slice(0, PROBLEMS_TOLD).to_pylist()
    journal.remove()
    if summary.rejected == summary.series:
        problems = [Problem(one["detail"], one["hint"], str(one["item_id"])) for one in told]
        raise DataError(told[0]["reason"], problems)
    hint = f"mend them, or allow more than --max-rejected {most:g}; nothing was written to the output"
    raise DataError(summary.reasons.most_common(1)[0][0], Problem(str(summary), hint))


def _check_share(share: float) -> None:
    if not 0 <= share <= 1:
        problem = Problem(f"--max-rejected {share:g} is no share", "choose one from 0 to 1", field="max_rejected")
        raise ParameterError(problem)


@contextmanager
def _writing() -> Iterator[None]:
    """Faults of the disk as one message; what is finished stays."""
    try:
        yield
    except OSError as error:
        detail = f"the forecasts cannot be written: {error.strerror or error}"
        hint = "mend it and run the same command again: it goes on where it stopped"
        raise ParameterError(Problem(detail, hint, field="output")) from error
