"""What the data decide: the settings left open in a configuration."""

from collections.abc import Callable
from functools import cache
from math import ceil

import numpy as np
import numpy.typing as npt

from forecast.config import ForecasterConfig, MemberConfig
from forecast.covariate_features import learn
from forecast.errors import DataError, Problem
from forecast.metrics import seasonal_error
from forecast.networks.cnn import layers_to_see
from forecast.table import SeriesTable

LONGEST_PATCH = 48
LEAD_TIMES = 12  # looked at when naive forecasts are compared
SHORTEST_HISTORY, LONGEST_MINIMUM = 4, 24

NaiveError = Callable[[int], npt.NDArray[np.floating]]
"""What repeating a season of so many steps errs by, for each series."""


def resolve(config: ForecasterConfig, table: SeriesTable) -> ForecasterConfig:
    """Fill in what a configuration leaves open.

    Args:
        config: Any configuration; what it says is kept.
        table: The training data.

    Returns:
        A configuration without open settings (but for the validation windows and the time limit).

    Raises:
        DataError: The configuration is of another frequency ("frequency-mismatch"), or a covariate cannot be used.
        ParameterError: What the configuration says does not fit together.
    """
    if config.frequency is not None:
        check_frequency(config, table)
    short, nonnegative, horizon = table.frequency.short_season, table.is_nonnegative(), config.prediction_length
    # Members ask for the same errors again, each of which is a pass over all the data.
    naive_error = cache(lambda season: _naive_error(table, season, horizon))
    common = {
        "covariates": learn(config.covariates, table),
        "minimum_history": config.minimum_history or max(SHORTEST_HISTORY, min(short, LONGEST_MINIMUM)),
        "frequency": table.frequency.alias,
        "nonnegative": nonnegative if config.nonnegative is None else config.nonnegative,
    }
    if config.members:
        members = tuple(_resolve_network(one, horizon, table, nonnegative, naive_error) for one in config.members)
        return ForecasterConfig.build(**{**dict(config), **common, "members": members})
    decided = _resolve_network(config, horizon, table, nonnegative, naive_error)
    return ForecasterConfig.build(**{**dict(config), **common, **dict(decided)})


def _resolve_network(
    config: MemberConfig, horizon: int, table: SeriesTable, nonnegative: bool, naive_error: NaiveError
) -> MemberConfig:
    """One network's settings, completed."""
    seasons, short = table.frequency.season_lengths, table.frequency.short_season
    typical = int(np.median(table.lengths))
    patch = config.network.patch_length or _patch_length(short, config.context_length)
    context = config.context_length
    if context is None:
        weekly = seasons[1] if len(seasons) > 1 and seasons[1] <= 8 * short else 2 * short
        needed = max(config.network.shortcut or (0,))
        wanted = max(2 * weekly, 2 * horizon, needed)
        context = ceil(max(min(wanted, typical - horizon), patch, needed) / patch) * patch
    shortcut = config.network.shortcut
    if shortcut is None:
        shortcut = _shortcuts([s for s in (1, *seasons) if s <= context], context, naive_error)
    layers = config.network.num_layers or (layers_to_see(context // patch) if config.network.kind == "cnn" else 1)
    transform = config.network.transform or ("log" if nonnegative else "none")
    decided = {"patch_length": patch, "shortcut": shortcut, "num_layers": layers, "transform": transform}
    network = config.network.model_copy(update=decided)
    return MemberConfig.build(context_length=context, network=network, training=config.training)


def check_frequency(config: ForecasterConfig, table: SeriesTable) -> None:
    """Refuse series of another frequency than the model's; where either has no dates, all pass.

    Raises:
        DataError: The frequencies differ ("frequency-mismatch").
    """
    if "step" not in (table.frequency.alias, config.frequency) and table.frequency.alias != config.frequency:
        raise DataError(
            "frequency-mismatch",
            Problem(
                f"the series step by {table.frequency}, the model by {config.frequency}",
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
    sizes = range(1, min(short, LONGEST_PATCH) + 1)
    return max(size for size in sizes if short % size == 0 and (context is None or context % size == 0))


def _shortcuts(candidates: list[int], context: int, naive_error: NaiveError) -> tuple[int, ...]:
    """The seasons and twice each, that whose naive forecast errs least first; the last value only where it is best."""
    errors = np.stack([naive_error(season) for season in candidates])
    # Each series counts by how its own errors compare, whatever its size.
    known = np.isfinite(errors)
    total = np.where(known, errors, 0).sum(0)
    share = np.where(known, errors, 0) / np.where(total > 0, total / known.sum(0), 1)
    mean = np.where(known.any(1), share.sum(1) / known.sum(1).clip(min=1), np.inf)
    best, *others = (candidates[place] for place in np.argsort(mean, kind="stable"))
    seasons = sorted(season for season in candidates if season > 1)
    twice = [2 * season for season in seasons if 2 * season <= context]
    return tuple(dict.fromkeys((best, *(season for season in (*others, *twice) if season > 1))))


def _naive_error(table: SeriesTable, season: int, horizon: int) -> npt.NDArray[np.floating]:
    """What repeating the last season errs by, over all steps ahead (of a short season some of them): `(N,)`."""
    lags = season * np.ceil(np.arange(1, horizon + 1) / season).astype(int)
    some = lags[np.linspace(0, horizon - 1, min(horizon, LEAD_TIMES)).round().astype(int)]
    distinct, counts = np.unique(some, return_counts=True)
    errors = np.stack([seasonal_error(table, int(lag)) for lag in distinct])
    mean: npt.NDArray[np.floating] = (errors * counts[:, None]).sum(0) / counts.sum()
    return mean
