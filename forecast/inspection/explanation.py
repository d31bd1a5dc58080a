"""One forecast explained: which part of the history it rests on, and what each covariate did."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from forecast.calendar import feature_names
from forecast.config import ForecasterConfig
from forecast.covariate_features import feature_width
from forecast.inspection.looking import Look, look_at, median_place, run
from forecast.inspection.results import Floats, Result, grid, jsonable
from forecast.networks import Network
from forecast.scaling import Scale, window_scale
from forecast.windows import Batch

STEPS = 96  # points of the path from the baseline: completeness to well under 1 %
ROWS_AT_ONCE = 2048  # windows in one pass


@dataclass(frozen=True)
class Attribution(Result):
    """Where B forecasts come from, in units of the data.

    Attributes:
        history: `(B, L)` integrated gradients: what each value, the oldest first, adds to the forecast of the same
            window with every value at its mean. 0 where nothing was observed.
        forecast: `(B,)` the forecast explained: the median of one step ahead, or the mean over all.
        baseline: `(B,)` the forecast of the window with every value at its mean.
        masking: `(B, N)` the check: what the forecast loses when one patch of the history is hidden.
        patch_length: Time steps in a patch.
    """

    history: Floats
    forecast: Floats
    baseline: Floats
    masking: Floats
    patch_length: int

    @property
    def by_patch(self) -> Floats:
        """`(B, N)` the integrated gradients of each patch together."""
        patches: Floats = self.history.reshape(len(self.history), -1, self.patch_length).sum(-1)
        return patches

    @property
    def completeness(self) -> Floats:
        """`(B,)` what integrated gradients leave unexplained, as a share of forecast less baseline."""
        difference = self.forecast - self.baseline
        size = np.maximum(np.abs(difference), np.abs(self.history).sum(1))
        left = np.abs(self.history.sum(1) - difference)
        share: Floats = np.divide(left, size, out=np.zeros_like(left), where=size > 0)
        return share

    @property
    def agreement(self) -> Floats:
        """`(B,)` rank correlation of both views' sizes over patches, 1 where they agree; NaN for a single patch."""
        ranks = [np.abs(view).argsort(1).argsort(1).astype(np.float64) for view in (self.by_patch, self.masking)]
        first, second = (rank - rank.mean(1, keepdims=True) for rank in ranks)
        size = np.sqrt((first**2).sum(1) * (second**2).sum(1))
        correlation: Floats = np.divide((first * second).sum(1), size, out=np.full(len(size), np.nan), where=size > 0)
        return correlation

    def summary(self) -> dict[str, Any]:
        strongest = np.abs(self.history).mean(0).argmax()
        return {
            "strongest_lag": int(self.history.shape[1] - strongest),
            "completeness": float(self.completeness.max()),
            "agreement": jsonable(float(np.nanmean(self.agreement)) if np.isfinite(self.agreement).any() else None),
        }

    def table(self) -> pd.DataFrame:
        """`window, lag, attribution, masking`; the masking check is that of the whole patch."""
        windows, context = self.history.shape
        axes = (("window", np.arange(windows)), ("lag", np.arange(context, 0, -1)))
        masking = np.repeat(self.masking, self.patch_length, axis=1)
        return grid(self.history, "attribution", *axes).assign(masking=masking.ravel())


@dataclass(frozen=True)
class CovariateEffects(Result):
    """What each of C covariates did to B forecasts of H steps, in units of the data.

    Attributes:
        names: C columns; "calendar" is all that is read from the date.
        effect: `(C, B, H)` the median forecast less the one without the covariate: a number at its mean, a category
            unknown, dates not read.
    """

    names: tuple[str, ...]
    effect: Floats

    def summary(self) -> dict[str, Any]:
        return {name: float(np.abs(effect).mean()) for name, effect in zip(self.names, self.effect, strict=True)}

    def table(self) -> pd.DataFrame:
        """`covariate, window, lead_time, effect`."""
        _, windows, horizon = self.effect.shape
        axes = (("window", np.arange(windows)), ("lead_time", np.arange(1, horizon + 1)))
        return grid(self.effect, "effect", ("covariate", self.names), *axes)


def attribution(network: Network, batch: Batch, lead_time: int | None = None) -> Attribution:
    """Integrated gradients (Sundararajan, Taly and Yan 2017, arXiv 1703.01365), and a masking check next to them.

    Plain gradients often fail to tell when something mattered (Ismail et al. 2020, arXiv 2010.13924), so what
    they say is to be read next to what happens when a part of the history is hidden. The scale by which the network
    sees the window is held fixed on the path: otherwise a window that shrinks towards its mean would be blown up
    again. Hidden values are missing values, which the network knows how to read: its scale and its shortcuts then go
    without them.

    Args:
        network: One network.
        batch: B windows, a few: each is read about a hundred times.
        lead_time: Which step ahead, from 1; all of them when left out.
    """
    from captum.attr import IntegratedGradients  # brings matplotlib with it: only for those who ask

    look = look_at(network, batch, precise=True, unroll=False)
    context, unit = look.network.compressed(look.batch.context, look.batch.observed)
    scale = window_scale(context, look.batch.observed, look.network.scaling)
    mean = scale.mean.expand_as(context).masked_fill(~look.batch.observed, 0)

    def forecast(context: Tensor, *fixed: Tensor) -> Tensor:
        mean, loc, size, unit, observed, known, static = fixed
        output = look.network.read(context, Scale(mean, loc, size), unit, observed, known, static)
        return _explained(look.network, look.network.quantiles(*output), lead_time)

    fixed = (*scale, unit, look.batch.observed, look.batch.known, look.batch.static)
    rows = max(ROWS_AT_ONCE, len(context))
    found = IntegratedGradients(forecast).attribute(
        context, mean, additional_forward_args=fixed, n_steps=STEPS, internal_batch_size=rows
    )
    with torch.no_grad():
        explained, baseline = forecast(context, *fixed), forecast(mean, *fixed)
    history = found.detach().masked_fill(~look.batch.observed, 0)
    masking = _masking(look, explained, lead_time)
    return Attribution(history.numpy(), explained.numpy(), baseline.numpy(), masking.numpy(), look.network.patch_length)


def covariate_effects(network: Network, config: ForecasterConfig, batch: Batch) -> CovariateEffects:
    """What each covariate did: the forecast less the one that goes without it.

    Args:
        network: One network.
        config: Its resolved configuration, which says which features are whose.
        batch: B windows.
    """
    look = look_at(network, batch, unroll=False)
    known, static = _features(config)
    middle = median_place(network)
    with torch.no_grad():
        whole = run(look)[..., middle]
        effects = []
        for name in (*known, *static):
            without = look.batch
            if name in known:
                features = without.known.clone()
                features[..., known[name]] = 0
                without = without._replace(known=features)
            else:
                features = without.static.clone()
                features[..., static[name]] = 0
                without = without._replace(static=features)
            effects.append(whole - run(Look(look.network, without, None))[..., middle])
    shape = (0, *whole.shape)
    stacked = torch.stack(effects) if effects else torch.empty(shape)
    return CovariateEffects((*known, *static), stacked.numpy())


def _explained(network: Network, quantiles: Tensor, lead_time: int | None) -> Tensor:
    median = quantiles[..., median_place(network)]
    return median.mean(1) if lead_time is None else median[:, lead_time - 1]


def _masking(look: Look, forecast: Tensor, lead_time: int | None) -> Tensor:
    """`(B, N)`: the forecast less the one with a patch hidden."""
    length, batch = look.network.patch_length, look.batch
    patches = look.network.context_length // length
    hidden = torch.eye(patches, dtype=torch.bool).repeat_interleave(length, 1)  # (N, L)
    lost = []
    for number in torch.split(torch.arange(len(forecast) * patches), ROWS_AT_ONCE):
        window, patch = number // patches, number % patches
        observed = batch.observed[window] & ~hidden[patch]
        with torch.no_grad():
            quantiles = look.network(batch.context[window], observed, batch.known[window], batch.static[window])
        lost.append(forecast[window] - _explained(look.network, quantiles, lead_time))
    return torch.cat(lost).view(len(forecast), patches)


def _features(config: ForecasterConfig) -> tuple[dict[str, slice], dict[str, slice]]:
    """Where each covariate's features stand among those of a step, and among those of a series."""
    known: dict[str, slice] = {}
    static: dict[str, slice] = {}
    covariates = config.covariates
    calendar = len(feature_names(config.calendar_frequency))
    if calendar:
        known["calendar"] = slice(0, calendar)
    for places, names, begin in ((known, covariates.varying, calendar), (static, covariates.static, 0)):
        for name in names:
            places[name] = slice(begin, begin := begin + feature_width(covariates, name))
    return known, static
