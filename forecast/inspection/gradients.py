"""How a loss flows back: to each group of parameters, and through time to each state of a recurrence."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from forecast.inspection.looking import look_at
from forecast.inspection.results import Floats, Result, jsonable
from forecast.loss import ErrorUnit, batch_loss
from forecast.networks import Network
from forecast.windows import Batch


@dataclass(frozen=True)
class ParameterGradients(Result):
    """The gradient of one batch's loss, by group of parameters.

    Attributes:
        groups: G names: "encoder.recurrence", "decoder.0", ...
        gradient_norm: `(G,)` length of the loss's gradient.
        weight_norm: `(G,)` length of the parameters.
        loss: The loss.
    """

    groups: tuple[str, ...]
    gradient_norm: Floats
    weight_norm: Floats
    loss: float

    def summary(self) -> dict[str, Any]:
        norms = dict(zip(self.groups, map(float, self.gradient_norm), strict=True))
        return {"loss": self.loss, "gradient_norm": norms}

    def table(self) -> pd.DataFrame:
        """`group, gradient_norm, weight_norm`."""
        columns = {"gradient_norm": self.gradient_norm, "weight_norm": self.weight_norm}
        return pd.DataFrame({"group": self.groups, **columns})


@dataclass(frozen=True)
class StateGradients(Result):
    """`||dL/dh_t||` of one layer of a recurrence over its N steps (Pascanu et al. 2013, arXiv 1211.5063).

    Attributes:
        layer: Which of the stacked recurrences.
        norm: `(N,)` root mean square over windows, the oldest step first.
        cell_norm: `(N,)` the same of `dL/dc_t`, the way on which an LSTM carries what it holds; of an RNN or GRU, whose
            state is all there is, the same numbers.
        patch_length: Time steps in a step of the recurrence.
    """

    layer: int
    norm: Floats
    cell_norm: Floats
    patch_length: int

    @property
    def decay(self) -> float:
        """What the gradient is multiplied by from a step to the one before it; NaN where that cannot be told."""
        return decay_per_step(self.norm)

    @property
    def cell_decay(self) -> float:
        """The same of the cell."""
        return decay_per_step(self.cell_norm)

    @property
    def half_life(self) -> float:
        """Time steps (lags) after which half of `norm` is left."""
        return half_life(self.decay, self.patch_length)

    @property
    def reach(self) -> float:
        """What the oldest step gets, as a share of the latest, by the way that carries more; NaN without a gradient."""
        shares = [float(norm[0] / norm[-1]) for norm in (self.norm, self.cell_norm) if norm[-1] > 0]
        return max(shares, default=float("nan"))

    def summary(self) -> dict[str, Any]:
        names = ("decay", "cell_decay", "half_life", "reach")
        return {"layer": self.layer, **{name: jsonable(getattr(self, name)) for name in names}}

    def table(self) -> pd.DataFrame:
        """`layer, step, lag, norm, cell_norm`; the lag in time steps before the latest state."""
        steps = np.arange(len(self.norm))
        lag = (len(self.norm) - 1 - steps) * self.patch_length
        columns = {"norm": self.norm, "cell_norm": self.cell_norm}
        return pd.DataFrame({"layer": self.layer, "step": steps, "lag": lag, **columns})


def parameter_gradients(network: Network, batch: Batch, error_unit: ErrorUnit = "window") -> ParameterGradients:
    """The gradient of the loss by group of parameters.

    Args:
        network: One network.
        batch: Windows with their targets.
        error_unit: As the network was trained with.
    """
    look = look_at(network, batch, precise=True, unroll=False)
    loss, _ = batch_loss(look.network, look.batch, error_unit)
    loss.backward()  # type: ignore[no-untyped-call]
    groups = parameter_groups(look.network)
    gradient = [length_of([weight.grad for weight in group if weight.grad is not None]) for group in groups.values()]
    weights = [length_of([weight.detach() for weight in group]) for group in groups.values()]
    return ParameterGradients(tuple(groups), np.array(gradient), np.array(weights), float(loss.detach()))


def state_gradients(network: Network, batch: Batch, error_unit: ErrorUnit = "window") -> tuple[StateGradients, ...]:
    """The loss's gradient with respect to the hidden state of each step and layer; nothing without a recurrence.

    It is the whole derivative: through everything that comes after the state. In 64-bit floats, so that what is
    called vanished has not merely been rounded off.
    """
    look = look_at(network, batch, precise=True)
    if look.recurrence is None:
        return ()
    loss, _ = batch_loss(look.network, look.batch, error_unit)
    traces = look.recurrence.traces
    steps = [(trace.hidden, trace.cell) for trace in traces]
    wanted = [state for both in steps for states in both for state in states]
    gradients = torch.autograd.grad(loss, wanted, allow_unused=True)
    squares = [0.0 if one is None else float(one.square().sum(-1).mean()) for one in gradients]
    norms = np.sqrt(np.array(squares)).reshape(len(traces), 2, -1)
    length = look.network.patch_length
    return tuple(StateGradients(layer, hidden, cell, length) for layer, (hidden, cell) in enumerate(norms))


def half_life(decay: float, patch_length: int = 1) -> float:
    """`patch_length ln 2 / -ln decay` time steps; infinite where the gradient does not shrink, NaN for NaN."""
    if np.isnan(decay):
        return float("nan")
    if decay >= 1:
        return float("inf")
    return float(patch_length * np.log(2) / -np.log(decay)) if decay > 0 else 0.0


def decay_per_step(norm: Floats) -> float:
    """The factor from a step to the one before it: `exp` of the slope of its logarithm against the lag.

    By least squares; NaN for a single step or no gradient at all.

    Args:
        norm: `(N,)` the oldest step first. Steps whose gradient is exactly 0 are left out.
    """
    lag, there = np.arange(len(norm))[::-1], norm > 0
    if there.sum() < 2:
        return 0.0 if len(norm) > 1 and norm[-1] > 0 else float("nan")
    return float(np.exp(np.polyfit(lag[there], np.log(norm[there]), 1)[0]))


def parameter_groups(module: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The parameters of each layer together, by its name."""
    groups: dict[str, list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        groups.setdefault(name.rpartition(".")[0], []).append(parameter)
    return groups


def length_of(tensors: list[Tensor]) -> float:
    """The length of several tensors taken as one vector."""
    if not tensors:
        return 0.0
    return float(torch.stack(torch._foreach_norm(tensors)).norm())
