"""What networks read of covariates: standardised numbers, and a 1 for the category that is there.

What is missing, unknown (a category that training did not see) or not known yet is 0 in all its features:
the mean of a number, none of the categories.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from forecast.config import CovariatesConfig
from forecast.covariates import Covariates, require
from forecast.errors import PROBLEMS_TOLD, DataError, Problem
from forecast.table import SeriesTable

FARTHEST = 10.0  # standard deviations from the mean
MOST_CATEGORIES = 50

Floats = npt.NDArray[np.float32]


def learn(config: CovariatesConfig, table: SeriesTable) -> CovariatesConfig:
    """Scales and categories of the columns whose own are not given, from the series up to their ends.

    Raises:
        DataError: A column was not read, has no value or too many categories.
    """
    scales, categories = dict(config.scales), dict(config.categories)
    decided = {*scales, *categories}
    for name in config.names:
        if name in decided:
            continue
        given = require(table.covariates, name)
        values = _known_values(given, table, name)
        if not len(values):
            problem = Problem(f"the covariate {name!r} has no value at all", "fill it in, or leave it out", field=name)
            raise DataError("bad-covariate", problem)
        if name in given.categories:
            labels = given.categories[name]
            found = sorted({labels[int(code)] for code in np.unique(values)})
            if len(found) > MOST_CATEGORIES:
                raise _too_many(name, found)
            categories[name] = tuple(found)
        else:
            mean, deviation = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
            scales[name] = (mean, deviation if deviation > 0 else 1.0)
    return config.model_copy(update={"scales": scales, "categories": categories})


def varying_size(config: CovariatesConfig) -> int:
    """Features of each step."""
    return sum(feature_width(config, name) for name in config.varying)


def static_size(config: CovariatesConfig) -> int:
    """Features of each series."""
    return sum(feature_width(config, name) for name in config.static)


def check_covariates(config: CovariatesConfig, table: SeriesTable) -> None:
    """Refuse series that were read without a covariate, or as another kind of value than the model's.

    Raises:
        DataError: Names the column ("missing-covariate" or "bad-covariate").
    """
    for name in config.names:
        expected, found = name in config.categories, name in require(table.covariates, name).categories
        if expected != found:
            kinds = {True: "text", False: "numbers"}
            detail = f"the covariate {name!r} holds {kinds[found]}, the model was trained on {kinds[expected]}"
            hint = "convert it, or read it as the model does: read_series(..., covariates=model.config.covariates)"
            raise DataError("bad-covariate", Problem(detail, hint, field=name))


def check_known_ahead(config: CovariatesConfig, table: SeriesTable, prediction_length: int) -> None:
    """Refuse series whose covariates are not known for every step to be forecast.

    Raises:
        DataError: Names them, the first step that is missing, and how many are needed ("missing-covariate").
    """
    if not config.known:
        return
    ahead = require(table.covariates, config.known[0]).lengths - table.lengths
    short = np.flatnonzero(ahead < prediction_length)
    if not len(short):
        return
    names = ", ".join(config.known)
    first = table.select(short[:PROBLEMS_TOLD])
    times = table.timestamps(first.times((first.lengths + ahead[short[:PROBLEMS_TOLD]])[:, None]))
    problems = [
        Problem(
            f"{item_id!r} lacks {names} of {time}: {prediction_length} steps after its end are needed, "
            f"{steps or 'none'} known",
            "give a row for each step to forecast: predict(..., future=...) (--future on the command line)",
            str(item_id),
            "future",
        )
        for item_id, time, steps in zip(first.item_ids, times, ahead[short], strict=False)
    ]
    raise DataError("missing-covariate", problems)


class CovariateFeatures:
    """The features of a table's covariates, made for each batch: only the covariates themselves are kept.

    Args:
        config: Columns with their scales and categories.
        table: The series.

    Raises:
        DataError: A column was not read, or holds text in place of numbers or the other way round.
    """

    def __init__(self, config: CovariatesConfig, table: SeriesTable) -> None:
        self.config = config
        check_covariates(config, table)
        given = require(table.covariates, config.names[0])
        self._places = {name: given.names.varying.index(name) for name in config.varying}
        self._positions = {name: _positions(config, given, name) for name in config.names if name in config.categories}
        self._values = torch.from_numpy(given.values)
        self._offsets, self._lengths = torch.from_numpy(given.offsets), torch.from_numpy(given.lengths)
        static = torch.from_numpy(given.static)
        parts = [self._features(name, static[:, given.names.static.index(name)]) for name in config.static]
        self._static = torch.cat(parts, dim=-1) if parts else torch.empty(len(table), 0)

    def varying(self, series: Tensor, steps: Tensor, past: int) -> Tensor:
        """Features of windows' steps.

        Args:
            series: `(B,)` which series.
            steps: `(B, T)` steps after its start.
            past: How many of the T come before the window's origin; of the others only what is known in
                advance is shown.

        Returns:
            `(B, T, F)`, F the `varying_size`.
        """
        inside = (steps >= 0) & (steps < self._lengths[series].unsqueeze(1))
        index = (steps + self._offsets[series].unsqueeze(1)).clamp_(0, max(len(self._values) - 1, 0))
        values = self._values[index].masked_fill_(~inside.unsqueeze(-1), torch.nan)
        parts = []
        for name in self.config.varying:
            features = self._features(name, values[..., self._places[name]])
            if name in self.config.past:
                features[:, past:] = 0
            parts.append(features)
        return torch.cat(parts, dim=-1) if parts else torch.empty(*steps.shape, 0)

    def static(self, series: Tensor) -> Tensor:
        """`(B,)` series to `(B, S)` features, S the `static_size`."""
        return self._static[series]

    def _features(self, name: str, values: Tensor) -> Tensor:
        """`(...)` values of one column to `(..., F)` features."""
        if name in self.config.scales:
            mean, deviation = self.config.scales[name]
            return ((values - mean) / deviation).clamp_(-FARTHEST, FARTHEST).nan_to_num_(0).unsqueeze(-1)
        category = self._positions[name][values.nan_to_num(-1).long()].unsqueeze(-1)
        return (category == torch.arange(len(self.config.categories[name]))).float()


def feature_width(config: CovariatesConfig, name: str) -> int:
    """Features of one column: one, or one for each category."""
    return len(config.categories[name]) if name in config.categories else 1


def _known_values(given: Covariates, table: SeriesTable, name: str) -> Floats:
    """The values of one column that are not missing, of the steps that the series themselves have."""
    if name in given.names.static:
        values = given.static[:, given.names.static.index(name)]
    else:
        begins = np.zeros(len(given.values) + 1, np.int32)
        np.add.at(begins, given.offsets, 1)
        np.add.at(begins, given.offsets + table.lengths, -1)
        values = given.values[begins[:-1].cumsum() > 0, given.names.varying.index(name)]
    known: Floats = values[~np.isnan(values)]
    return known


def _positions(config: CovariatesConfig, given: Covariates, name: str) -> Tensor:
    """Where a table's categories stand among the model's; -1 for those it does not know, and in the last place."""
    known = {label: place for place, label in enumerate(config.categories[name])}
    return torch.tensor([*(known.get(label, -1) for label in given.categories[name]), -1])


def _too_many(name: str, found: list[str]) -> DataError:
    detail = f"the covariate {name!r} has {len(found)} categories, {MOST_CATEGORIES} can be told apart"
    hint = "group the rare ones, or leave it out"
    numbers = [label for label in found if label.replace(".", "", 1).lstrip("-").isdecimal()]
    if len(numbers) > len(found) / 2:
        odd = next((label for label in found if label not in numbers), None)
        detail += "; most are numbers" + (f", {odd[:50]!r} is not" if odd is not None else "")
        hint = "if numbers are meant, convert the column: pandas.to_numeric(...)"
    return DataError("bad-covariate", Problem(detail, hint, field=name))
