"""Judging a model on windows it never saw, next to naive baselines and the model that is live."""

from collections.abc import Mapping

import pandas as pd

from forecast import Backtest, SeasonalNaive, backtest
from forecast.auto import check_frequency
from forecast.errors import DataError
from forecast.forecaster import Forecaster
from forecast.predictor import Predictor
from forecast.table import SeriesTable

METRIC = "mase"


def baselines(table: SeriesTable, prediction_length: int) -> dict[str, Predictor]:
    """Naive forecasts: the last value, and the last of each season that the series hold twice."""
    seasons = [season for season in table.frequency.season_lengths if season * 2 <= table.lengths.max()] or [1]
    return {
        "naive" if season == 1 else f"seasonal naive {season}": SeasonalNaive(season, prediction_length) for season in seasons
    }


def evaluate(models: Mapping[str, Predictor], table: SeriesTable, prediction_length: int, windows: int) -> Backtest:
    """Models and naive baselines on the same last windows of each series."""
    everyone = {**models, **baselines(table, prediction_length)}
    return backtest(everyone, table, prediction_length=prediction_length, windows=windows)


def best_baseline(leaderboard: pd.DataFrame) -> str:
    """The name of the best naive baseline on a leaderboard."""
    naive = leaderboard.index[leaderboard.index.str.contains("naive")]
    return str(leaderboard.loc[naive, METRIC].idxmin())


def comparable(champion: Forecaster, table: SeriesTable, prediction_length: int) -> bool:
    """Whether a model can be judged on these windows at all: by its frequency and its horizon."""
    try:
        check_frequency(champion.config, table)
    except DataError:
        return False
    return champion.prediction_length >= prediction_length


def as_text(leaderboard: pd.DataFrame) -> str:
    """A leaderboard as a Markdown table."""
    head = "| model | MASE | RMSSE | sMAPE % | WQL | coverage 80 % |\n|---|---|---|---|---|---|\n"
    rows = [
        f"| {name} | {row.mase:.3f} | {row.rmsse:.3f} | {row.smape:.1f} | {row.wql:.3f} | {100 * row.coverage80:.0f} % |"
        for name, row in leaderboard.iterrows()
    ]
    return head + "\n".join(rows)
