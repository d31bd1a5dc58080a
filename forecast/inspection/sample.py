"""The windows that networks are looked at with."""

import torch

from forecast.auto import validation_windows
from forecast.config import ForecasterConfig
from forecast.errors import DataError, Problem
from forecast.metrics import seasonal_error
from forecast.table import SeriesTable
from forecast.windows import Batch, Origins, Windows, last_origins

WINDOWS = 512  # enough to tell a unit that answers seldom from one that never does


def all_windows(config: ForecasterConfig, table: SeriesTable) -> Windows:
    """Windows as the networks of a resolved configuration read them, with the longest context among them."""
    lag = max((config.networks[0].network.shortcut or (1,))[0], 1)
    context, horizon = config.longest_context, config.prediction_length
    error = seasonal_error(table, lag)
    return Windows(table, context, horizon, config.calendar_frequency, error, config.covariates)


def sample_windows(config: ForecasterConfig, table: SeriesTable, count: int = WINDOWS) -> Batch:
    """Windows taken evenly from all series and times, with their targets; always the same.

    Windows with a whole context come first: only a series without any gives one with a part of it.

    Args:
        config: A resolved configuration, as a fitted or loaded forecaster has it.
        table: The series.
        count: How many at the most.

    Raises:
        DataError: No series is long enough ("series-too-short").
    """
    windows = all_windows(config, table)
    last = windows.lengths - config.prediction_length
    first = torch.minimum(torch.full_like(last, config.longest_context), last)
    first = torch.where(last >= (config.minimum_history or 1), first, last + 1)
    origins = Origins(first, last)
    if not len(origins):
        raise _too_short(config, table)
    number = torch.linspace(0, len(origins) - 1, min(count, len(origins)), dtype=torch.float64).round().long()
    return windows.gather(*origins.window(number))


def judged_windows(config: ForecasterConfig, table: SeriesTable, count: int = WINDOWS) -> Batch:
    """The last windows of each series, those that training keeps to validate on: not learnt from.

    Args:
        config: A resolved configuration.
        table: The series as they were given to `fit`.
        count: How many at the most, evenly thinned.

    Raises:
        DataError: No series is long enough ("series-too-short").
    """
    windows, horizon = all_windows(config, table), config.prediction_length
    number = validation_windows(config, table)
    long_enough = windows.lengths - horizon * number >= (config.minimum_history or 1)
    if not long_enough.any():
        raise _too_short(config, table)
    series, origin = last_origins(windows.lengths, torch.arange(len(table))[long_enough], horizon, number)
    thin = torch.linspace(0, len(series) - 1, min(count, len(series)), dtype=torch.float64).round().long()
    return windows.gather(series[thin], origin[thin])


def latest_windows(config: ForecasterConfig, table: SeriesTable) -> Batch:
    """The windows that a forecast from each series' end reads; what comes after is not known."""
    windows = all_windows(config, table)
    return windows.latest(torch.arange(len(table)))


def _too_short(config: ForecasterConfig, table: SeriesTable) -> DataError:
    needed = (config.minimum_history or 1) + config.prediction_length
    longest = int(table.lengths.argmax())
    detail = (
        f"no series is long enough to look at what a forecast came to: the longest, {str(table.item_ids[longest])!r}, "
        f"has {table.lengths[longest]} steps, {needed} are needed"
    )
    return DataError("series-too-short", Problem(detail, "send more history", str(table.item_ids[longest]), "target"))
