"""The health of units: dead, saturated, how long they remember, and how many directions they span."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from forecast.inspection.forward import Activations, States
from forecast.inspection.looking import recurrence_of
from forecast.inspection.results import Bools, Floats, Result
from forecast.networks import Network

LEFT, RIGHT = 0.1, 0.9  # a gate beyond is saturated (Karpathy, Johnson and Fei-Fei 2015, arXiv 1506.02078)
FLAT_TANH = 0.95  # a tanh beyond, on either side, has a slope below a tenth of its largest
GATES = ("input", "forget", "output", "reset", "update")  # between 0 and 1; a candidate is not


@dataclass(frozen=True)
class UnitHealth(Result):
    """The D units of one layer, over all windows and steps that were looked at.

    Attributes:
        layer: Its name.
        activation: "relu", "tanh" or "sigmoid".
        dead: `(D,)` whether a ReLU unit never answered.
        saturated: `(D,)` share of windows and steps in which a tanh unit is beyond 0.95, or a sigmoid unit beyond
            0.1 or 0.9; 0 for ReLU.
    """

    layer: str
    activation: str
    dead: Bools
    saturated: Floats

    def summary(self) -> dict[str, Any]:
        return {
            "layer": self.layer,
            "activation": self.activation,
            "dead_share": float(self.dead.mean()),
            "saturated_share": float(self.saturated.mean()),
        }

    def table(self) -> pd.DataFrame:
        """`layer, activation, unit, dead, saturated`."""
        columns = {"layer": self.layer, "activation": self.activation, "unit": np.arange(len(self.dead))}
        return pd.DataFrame({**columns, "dead": self.dead, "saturated": self.saturated})


@dataclass(frozen=True)
class GateHealth(Result):
    """One gate of the D units of one layer: a point per unit under the line left + right = 1.

    Attributes:
        layer: Which of the stacked recurrences.
        gate: "input", "forget", "output", "reset" or "update".
        left: `(D,)` share of windows and steps in which it is below 0.1: shut.
        right: `(D,)` share in which it is above 0.9: open.
    """

    layer: int
    gate: str
    left: Floats
    right: Floats

    def summary(self) -> dict[str, Any]:
        return {
            "layer": self.layer,
            "gate": self.gate,
            "left_share": float(self.left.mean()),
            "right_share": float(self.right.mean()),
        }

    def table(self) -> pd.DataFrame:
        """`layer, gate, unit, left, right`."""
        columns = {"layer": self.layer, "gate": self.gate, "unit": np.arange(len(self.left))}
        return pd.DataFrame({**columns, "left": self.left, "right": self.right})


@dataclass(frozen=True)
class ForgetTimes(Result):
    """How long the D units of one layer keep what they hold, as their gates say.

    Attributes:
        layer: Which of the stacked recurrences.
        steps: `(D,)` time steps (of the data) until a unit holds 1/e of it.
        season: Time steps of the longest season the network knows of; 1 without any.
    """

    layer: int
    steps: Floats
    season: int

    def summary(self) -> dict[str, Any]:
        return {
            "layer": self.layer,
            "median_steps": float(np.median(self.steps)),
            "season": self.season,
            "share_beyond_season": float((self.steps >= self.season).mean()),
        }

    def table(self) -> pd.DataFrame:
        """`layer, unit, steps`."""
        return pd.DataFrame({"layer": self.layer, "unit": np.arange(len(self.steps)), "steps": self.steps})


def unit_health(network: Network, seen: Activations, states: tuple[States, ...]) -> tuple[UnitHealth, ...]:
    """Dead and saturated units of every layer that has an activation.

    Args:
        network: The network.
        seen: What its layers said.
        states: What its recurrence did; of an LSTM tanh(c) is judged, of a GRU its candidate.
    """
    kinds = {"ReLU": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid"}
    found = [_health(layer.name, kinds[layer.kind], layer.values) for layer in seen.layers if layer.kind in kinds]
    recurrence = recurrence_of(network)
    for state in states:
        name = f"encoder.recurrence.{state.layer}"
        if isinstance(recurrence, nn.LSTM):
            found.append(_health(name, "tanh", np.tanh(state.cell)))
        elif isinstance(recurrence, nn.GRU):
            found.append(_health(name, "tanh", state.gates["candidate"]))
        else:
            found.append(
                _health(name, "relu" if recurrence and recurrence.mode == "RNN_RELU" else "tanh", state.hidden)
            )
    return tuple(found)


def gate_health(states: tuple[States, ...]) -> tuple[GateHealth, ...]:
    """Saturation of every gate of every layer."""
    return tuple(
        GateHealth(state.layer, name, _share(gate < LEFT), _share(gate > RIGHT))
        for state in states
        for name, gate in state.gates.items()
        if name in GATES
    )


def forget_times(network: Network, states: tuple[States, ...]) -> tuple[ForgetTimes, ...]:
    """Characteristic times `-1 / ln(mean f)` of what keeps a state: an LSTM's forget gate, a GRU's update gate.

    The form is Tallec and Ollivier's (2018, arXiv 1804.11188), turned round; a step of the recurrence is a patch.
    """
    found = []
    for state in states:
        kept = state.gates.get("forget", state.gates.get("update"))
        if kept is not None:
            mean = kept.mean((0, 1), dtype=np.float64).clip(1e-12, 1 - 1e-12)
            found.append(ForgetTimes(state.layer, -state.patch_length / np.log(mean), season_of(network)))
    return tuple(found)


def effective_dimension(values: Floats) -> float:
    """Participation ratio `(sum l)^2 / sum l^2` of the covariance's eigenvalues: how many directions states span.

    Args:
        values: `(..., D)` states.

    Returns:
        1 (all along one line) to D (alike in all directions); 0 where nothing varies.
    """
    flat = values.reshape(-1, values.shape[-1]).astype(np.float64)
    covariance = np.atleast_2d(np.cov(flat, rowvar=False, bias=True))
    square = float((covariance**2).sum())  # the sum of squared eigenvalues
    return float(np.trace(covariance)) ** 2 / square if square > 0 else 0.0


def season_of(network: Network) -> int:
    """Time steps of the longest season among the network's shortcuts that is not one of them doubled; 1 without any."""
    seasons = sorted(season for season in network.shortcuts if season > 1)
    return max((season for season in seasons if season % 2 or season // 2 not in seasons), default=1)


def _health(name: str, activation: str, values: Floats) -> UnitHealth:
    axes = tuple(range(values.ndim - 1))
    if activation == "relu":
        return UnitHealth(name, activation, np.asarray(values.max(axes) <= 0), np.zeros(values.shape[-1]))
    beyond = np.abs(values) > FLAT_TANH if activation == "tanh" else (values < LEFT) | (values > RIGHT)
    return UnitHealth(name, activation, np.zeros(values.shape[-1], bool), beyond.mean(axes))


def _share(beyond: Bools) -> Floats:
    share: Floats = beyond.mean((0, 1))
    return share
