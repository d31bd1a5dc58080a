"""Judging a model on windows it never saw, next to naive baselines and the model that is live."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from forecast import SeasonalNaive
from forecast.auto import check_frequency
from forecast.backtest import Backtest, backtest
from forecast.covariate_features import check_covariates
from forecast.errors import DataError
from forecast.forecaster import Forecaster
from forecast.predictor import Predictor
from forecast.table import SeriesTable

METRIC = "mase"
THIS, CHAMPION_ROW = "this model", "champion"  # rows of a leaderboard

Scores = dict[str, dict[str, float]]
"""Metrics by model, the best first."""

HEADINGS = ("model", "MASE", "RMSSE", "sMAPE %", "WQL", "coverage of 80 %")


def baselines(table: SeriesTable, prediction_length: int) -> dict[str, Predictor]:
    """Naive forecasts: the last value, and the last of each season that the series hold twice."""
    seasons = [1, *(season for season in table.frequency.season_lengths if season * 2 <= table.lengths.max())]
    return {
        "naive" if season == 1 else f"seasonal naive {season}": SeasonalNaive(season, prediction_length)
        for season in seasons
    }


def evaluate(models: Mapping[str, Predictor], table: SeriesTable, prediction_length: int, windows: int) -> Backtest:
    """Models and naive baselines on the same last windows of each series."""
    everyone = {**models, **baselines(table, prediction_length)}
    return backtest(everyone, table, prediction_length=prediction_length, windows=windows)


def scores(result: Backtest) -> Scores:
    """Everyone's metrics, the best first; those without a score come last."""
    return {
        str(name): {str(key): float(row[key]) for key in row.index} for name, row in result.leaderboard().iterrows()
    }


def best_baseline(leaderboard: Scores) -> str:
    """The name of the best naive baseline on a leaderboard."""
    return next(name for name in leaderboard if "naive" in name)


def comparable(champion: Forecaster, table: SeriesTable, prediction_length: int) -> bool:
    """Whether a model can be judged on these windows at all: by its frequency, its covariates and its horizon."""
    try:
        check_frequency(champion.config, table)
        check_covariates(champion.config.covariates, table)
    except DataError:
        return False
    return champion.prediction_length >= prediction_length


def as_table(leaderboard: Scores) -> Table:
    """A leaderboard as a table for the terminal."""
    table = Table(*HEADINGS, title="the same windows, the best first")
    for row in _rows(leaderboard):
        table.add_row(*row)
    return table


def as_markdown(leaderboard: Scores) -> str:
    """A leaderboard as a Markdown table."""
    return markdown_table(HEADINGS, _rows(leaderboard))


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of texts as a Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (headings, ["---"] * len(headings), *rows))


def _rows(leaderboard: Scores) -> list[tuple[str, ...]]:
    formats = {"mase": ".3f", "rmsse": ".3f", "smape": ".1f", "wql": ".3f", "coverage80": ".0%"}
    return [(name, *(format(row[key], form) for key, form in formats.items())) for name, row in leaderboard.items()]
