"""What the data decide: the settings left open in a configuration."""

from math import ceil

import numpy as np

from forecast.config import ForecasterConfig
from forecast.errors import DataError, ParameterError, Problem
from forecast.metrics import seasonal_error
from forecast.table import SeriesTable

LONGEST_PATCH = 48
SHORTEST_HISTORY, LONGEST_MINIMUM = 4, 24


def resolve(config: ForecasterConfig, table: SeriesTable) -> ForecasterConfig:
    """Fill in what a configuration leaves open.

    Args:
        config: Any configuration; what it says is kept.
        table: The training data.

    Returns:
        A configuration without open settings (but for the validation windows and the time limit).

    Raises:
        DataError: All series are too short to learn from.
        ParameterError: What the configuration says does not fit together.
    """
    horizon = config.prediction_length
    seasons = table.frequency.season_lengths
    short = seasons[0] if seasons else 1
    typical = int(np.median(table.lengths))
    patch = config.network.patch_length or _patch_length(short, config.context_length)
    context = config.context_length
    if context is None:
        weekly = seasons[1] if len(seasons) > 1 and seasons[1] <= 8 * short else 2 * short
        wanted = max(2 * weekly, 2 * horizon, config.network.shortcut or 0)
        context = ceil(max(min(wanted, typical - horizon), patch, config.network.shortcut or 0) / patch) * patch
    minimum = config.minimum_history or max(SHORTEST_HISTORY, min(short, LONGEST_MINIMUM))
    if table.lengths.max() < minimum + horizon:
        longest = int(np.argmax(table.lengths))
        raise DataError(
            "series-too-short",
            Problem(
                f"no series is long enough to learn from: the longest, {table.item_ids[longest]!r}, has "
                f"{int(table.lengths[longest])} steps, and {minimum} of history + {horizon} to forecast are needed",
                "send more history or forecast fewer steps",
                str(table.item_ids[longest]),
                "target",
            ),
        )
    shortcut = config.network.shortcut
    if shortcut is None:
        shortcut = _shortcut(table, [s for s in (1, *seasons) if s <= context], horizon)
    network = config.network.model_copy(update={"patch_length": patch, "shortcut": shortcut})
    return ForecasterConfig.build(
        **{
            **dict(config),
            "network": network,
            "context_length": context,
            "minimum_history": minimum,
            "frequency": table.frequency.alias,
            "nonnegative": bool((table.values >= 0).all()) if config.nonnegative is None else config.nonnegative,
        }
    )


def check_frequency(config: ForecasterConfig, table: SeriesTable) -> None:
    """Refuse series of another frequency than the model's; undated series pass.

    Raises:
        DataError: The frequencies differ ("frequency-mismatch").
    """
    if table.frequency.alias not in (config.frequency, "step"):
        raise DataError(
            "frequency-mismatch",
            Problem(
                f"the series step by {table.frequency}, this model was trained on steps of {config.frequency}",
                "resample the series, or use a model of that frequency",
                field="timestamp",
            ),
        )


def validation_windows(config: ForecasterConfig, table: SeriesTable) -> int:
    """Windows kept at each series' end: about 100 in all, over a fifth of the data at the most."""
    if config.training.validation_windows is not None:
        return config.training.validation_windows
    most = int(np.median(table.lengths)) // (5 * config.prediction_length)
    return max(1, min(ceil(100 / len(table)), most))


def _patch_length(short: int, context: int | None) -> int:
    """A short season, or its largest divisor that is not too long and fits the context."""
    sizes = [size for size in range(1, min(short, LONGEST_PATCH) + 1) if short % size == 0]
    fitting = [size for size in sizes if context is None or context % size == 0]
    if not fitting:
        raise ParameterError(Problem(f"context_length={context} cannot be cut into patches", field="context_length"))
    return fitting[-1]


def _shortcut(table: SeriesTable, candidates: list[int], horizon: int) -> int:
    """The season whose naive forecast errs least, over steps as far apart as the forecast reaches."""
    size = max(float(np.abs(table.values).mean()), 1e-30)
    errors = []
    for season in candidates:
        error = seasonal_error(table, season * ceil(horizon / season)) / size
        errors.append(float(np.nanmean(error)) if np.isfinite(error).any() else np.inf)
    return candidates[int(np.argmin(errors))]
