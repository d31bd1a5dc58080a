"""Whether a recurrence keeps, loses or blows up what it holds: eigenvalues of its matrix and of its Jacobian."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn

from forecast.inspection.cells import CELLS, Trace
from forecast.inspection.looking import look_at, run
from forecast.inspection.results import Floats, Result, jsonable
from forecast.networks import Network
from forecast.windows import Batch

POINTS = 16  # windows and steps at which the Jacobian is taken: each costs the cube of the state's size


@dataclass(frozen=True)
class Spectrum(Result):
    """Eigenvalues of one layer of a recurrence.

    Attributes:
        layer: Which of the stacked recurrences.
        matrix: `(G, D)` complex eigenvalues of the recurrent matrix, one row for each gate (one for an RNN).
        gates: G names of the rows.
        jacobian: `(P, S)` complex eigenvalues of the state's Jacobian `ds_{t+1} / ds_t` at P points the network came
            to; the state is h, for an LSTM h and c together (S = 2 D). What decides whether gradients vanish in a
            gated network.
    """

    layer: int
    matrix: npt.NDArray[np.complexfloating]
    gates: tuple[str, ...]
    jacobian: npt.NDArray[np.complexfloating]

    @property
    def matrix_radius(self) -> Floats:
        """`(G,)` the largest absolute eigenvalue of each matrix."""
        radius: Floats = np.abs(self.matrix).max(1)
        return radius

    @property
    def jacobian_radius(self) -> float:
        """The median over points of the Jacobian's largest absolute eigenvalue; above 1 what is held grows."""
        radius = np.abs(self.jacobian).max(1)
        return float(np.median(radius[~np.isnan(radius)])) if not np.isnan(radius).all() else float("nan")

    def summary(self) -> dict[str, Any]:
        radius = dict(zip(self.gates, jsonable(self.matrix_radius), strict=True))
        return {"layer": self.layer, "matrix_radius": radius, "jacobian_radius": jsonable(self.jacobian_radius)}

    def table(self) -> pd.DataFrame:
        """`layer, of, real, imaginary`: `of` is a gate's name, or "jacobian"."""
        of = np.append(np.repeat(self.gates, self.matrix.shape[1]), np.repeat("jacobian", self.jacobian.size))
        value = np.append(self.matrix.ravel(), self.jacobian.ravel())
        return pd.DataFrame({"layer": self.layer, "of": of, "real": value.real, "imaginary": value.imag})


GATES = {
    "RNN_TANH": ("hidden",),
    "RNN_RELU": ("hidden",),
    "GRU": ("reset", "update", "candidate"),
    "LSTM": ("input", "forget", "candidate", "output"),
}


def recurrent_spectrum(network: Network, batch: Batch) -> tuple[Spectrum, ...]:
    """The spectra of each layer of a recurrent network; of any other, nothing.

    Args:
        network: One network.
        batch: Windows whose states the Jacobian is taken at, a few dozen of them.
    """
    look = look_at(network, batch, precise=True)
    if look.recurrence is None:
        return ()
    with torch.no_grad():
        run(look)
    weights = look.recurrence.fused
    found = []
    for layer, trace in enumerate(look.recurrence.traces):
        matrix = getattr(weights, f"weight_hh_l{layer}").detach()
        eigenvalues = _eigenvalues(torch.stack(matrix.split(weights.hidden_size)))
        jacobian = _eigenvalues(_jacobians(trace, weights, layer))
        found.append(Spectrum(layer, eigenvalues, GATES[weights.mode], jacobian))
    return tuple(found)


def _eigenvalues(matrices: Tensor) -> npt.NDArray[np.complexfloating]:
    """`(P, S)` of matrices `(P, S, S)`; NaN for one that has none, as where a training has gone wrong."""
    found = np.full(matrices.shape[:2], np.nan, np.complex128)
    for place, matrix in enumerate(matrices.numpy()):
        with suppress(np.linalg.LinAlgError):
            found[place] = np.linalg.eigvals(matrix)
    return found


def _jacobians(trace: Trace, weights: nn.RNNBase, layer: int) -> Tensor:
    """`(P, S, S)` at points taken evenly from all windows and steps."""
    before = [torch.zeros_like(trace.hidden[0]), *trace.hidden[:-1]]
    cell_before = [torch.zeros_like(trace.cell[0]), *trace.cell[:-1]]
    inputs, hidden, cell = (torch.cat(one) for one in (trace.inputs, before, cell_before))
    points = torch.linspace(0, len(inputs) - 1, min(POINTS, len(inputs))).round().long()
    step = CELLS[weights.mode]

    def next_hidden(h: Tensor, x: Tensor) -> Tensor:
        return step(x, (h, h), weights, layer)[0][0]

    def next_state(state: Tensor, x: Tensor) -> Tensor:
        h, c = state.chunk(2)
        return torch.cat(step(x, (h, c), weights, layer)[0])

    function, state = (next_state, torch.cat((hidden, cell), -1)) if weights.mode == "LSTM" else (next_hidden, hidden)
    jacobian: Tensor = torch.func.vmap(torch.func.jacrev(function))(state[points], inputs[points])
    return jacobian.detach()
