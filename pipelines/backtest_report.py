"""What a backtest found, as files: tables, forecasts, and a report to read first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from forecast.backtest import Backtest
from forecast.comparison import Comparison
from pipelines.evaluation import METRIC, Scores, as_markdown, markdown_table
from pipelines.folder import new_folder
from pipelines.pictures import judged, write_page
from pipelines.pictures.page import Picture
from pipelines.record import window_errors
from pipelines.record.files import PICTURES
from pipelines.record.note import pictures_in_words

LEAD_TIMES_SHOWN, SERIES_SHOWN = 12, 5


@dataclass(frozen=True)
class Windows:
    """Which windows everyone is judged on.

    Attributes:
        horizon: Steps of each.
        number: How many of each series, the last one at its end.
        step: Steps from one to the next.
        refit: Whether a recipe is trained anew before each.
    """

    horizon: int
    number: int
    step: int
    refit: bool = False


@dataclass(frozen=True)
class Judgement:
    """What came out.

    Attributes:
        result: The forecasts.
        leaderboard: Everyone's metrics, the best first.
        baseline: The best baseline, where there is one.
        savings: How each compares with it; empty where there is none.
        notes: What to know before trusting a row.
        run_id: The run that holds it all.
    """

    result: Backtest
    leaderboard: Scores
    baseline: str | None
    savings: dict[str, Comparison]
    notes: list[str]
    run_id: str


def write(judgement: Judgement, windows: Windows, source: str, output: Path) -> None:
    """Write the folder of a backtest: tables, forecasts, and a report to read first.

    Raises:
        ParameterError: It cannot be written.
    """
    result, models = judgement.result, list(judgement.leaderboard)
    with new_folder(output) as draft:
        pd.DataFrame(table_rows(judgement)).T.to_csv(draft / "leaderboard.csv", index_label="model")
        per_series = {name: result.per_series(name) for name in models}
        per_lead_time = {name: result.per_lead_time(name) for name in models}
        for name, parts in (("per_series", per_series), ("per_lead_time", per_lead_time)):
            pd.concat(parts, names=["model"]).reset_index().to_parquet(draft / f"{name}.parquet")
        window_errors(result).to_parquet(draft / "windows.parquet")
        _write_forecasts(result, models, draft / "forecasts.parquet")
        pictures = judged(result, models[0], judgement.baseline)
        write_page(draft / PICTURES, f"Backtest of {models[0]}", pictures)
        text = report(judgement, windows, source, per_series[models[0]], per_lead_time, pictures)
        (draft / "report.md").write_text(text, encoding="utf-8")


def report(
    judgement: Judgement,
    windows: Windows,
    source: str,
    per_series: pd.DataFrame,
    per_lead_time: Mapping[str, pd.DataFrame],
    pictures: Sequence[Picture],
) -> str:
    """A backtest as Markdown: who was how good, by lead time, and where the best one erred most."""
    result, models = judgement.result, list(judgement.leaderboard)
    steps = np.unique(np.linspace(1, windows.horizon, min(windows.horizon, LEAD_TIMES_SHOWN)).round().astype(int))
    by_step = [[name, *(f"{per_lead_time[name][METRIC][step]:.3f}" for step in steps)] for name in models]
    worst = per_series.sort_values(METRIC, ascending=False).head(SERIES_SHOWN)
    refit = ", recipes trained anew before each" if windows.refit else ""
    parts = [
        "# Backtest",
        f"{len(result.series)} windows of {windows.horizon} steps from {len(np.unique(result.series))} series of "
        f"{source}: {windows.number} at each series' end, {windows.step} steps apart{refit}.",
        *(f"**Note:** {note}." for note in judgement.notes),
        "## Everyone on the same windows",
        as_markdown(judgement.leaderboard),
    ]
    if judgement.savings:
        rows = [[name, *_saved(judgement.savings[name])] for name in models]
        parts += [
            "What each saves of the best baseline's MASE, and how far chance may reach:",
            markdown_table(["model", "saves", "90 % interval"], rows),
        ]
    return "\n\n".join(
        [
            *parts,
            "## MASE by lead time",
            markdown_table(["model", *(f"step {step}" for step in steps)], by_step),
            f"## Where {models[0]} erred most",
            markdown_table(["series", "MASE"], [[str(name), f"{error:.3f}"] for name, error in worst[METRIC].items()]),
            "## Pictures",
            pictures_in_words(pictures),
            "The tables beside this page hold all of it: `leaderboard.csv`, `per_series.parquet`, "
            "`per_lead_time.parquet`, `windows.parquet` and `forecasts.parquet`.\n",
        ]
    )


def table_rows(judgement: Judgement) -> dict[str, dict[str, float]]:
    """The leaderboard with what everyone saves of the best baseline's MASE."""
    rows = {name: dict(row) for name, row in judgement.leaderboard.items()}
    for name, found in judgement.savings.items():
        rows[name] |= {"improvement": found.improvement, "low": found.low, "high": found.high}
    return rows


def _saved(found: Comparison) -> tuple[str, str]:
    interval = f"{found.low:.1%} to {found.high:.1%}" if found.is_telling else "too few windows to tell"
    return f"{found.improvement:.1%}", interval


def _write_forecasts(result: Backtest, models: Sequence[str], path: Path) -> None:
    """Model after model: all of them at once would take several times the memory."""
    writer = None
    try:
        for model in models:
            rows = pa.Table.from_pandas(result.frame(model).assign(model=model), preserve_index=False)
            writer = writer or pq.ParquetWriter(path, rows.schema)
            writer.write_table(rows)
    finally:
        if writer is not None:
            writer.close()
