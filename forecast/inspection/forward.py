"""What every layer says: named activations, and the states and gates of a recurrence at each step."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from forecast.inspection.looking import Look, look_at, run
from forecast.inspection.results import Floats, Result, grid
from forecast.networks import Network
from forecast.windows import Batch

SILENT = (nn.Dropout, nn.Flatten, nn.Identity)  # do nothing when a trained network answers


@dataclass(frozen=True)
class Layer(Result):
    """One layer's output for B windows.

    Attributes:
        name: Where it stands in the network: "encoder.layers.1", "decoder.0", ...
        kind: What it is: "Linear", "ReLU", "_CausalConv", "LSTM", ...
        values: `(B, D)` for D units, or `(B, N, D)` where there is an output for each of N patches; of a convolution,
            for those N that the forecast depends on, a dilation apart, the last one last.
    """

    name: str
    kind: str
    values: Floats

    @property
    def statistics(self) -> "LayerStatistics":
        """Its values in a few numbers."""
        values = self.values
        numbers = (values.mean(), values.std(), values.min(), values.max(), (values == 0).mean())
        return LayerStatistics(self.name, self.kind, values.shape[-1], *map(float, numbers))

    def summary(self) -> dict[str, Any]:
        return self.statistics.summary()

    def table(self) -> pd.DataFrame:
        """`window, [patch,] unit, value`."""
        names = ("window", "patch", "unit") if self.values.ndim == 3 else ("window", "unit")
        axes = [(name, np.arange(size)) for name, size in zip(names, self.values.shape, strict=True)]
        return grid(self.values, "value", *axes).assign(layer=self.name)


@dataclass(frozen=True)
class LayerStatistics(Result):
    """One layer's output in a few numbers, over all windows, units and patches.

    Attributes:
        name: As in `Layer`.
        kind: As in `Layer`.
        size: Its units.
        mean: Of its values.
        deviation: Their standard deviation.
        smallest: The least of them.
        largest: The greatest.
        zeros: Share that is exactly 0.
    """

    name: str
    kind: str
    size: int
    mean: float
    deviation: float
    smallest: float
    largest: float
    zeros: float

    def summary(self) -> dict[str, Any]:
        return self.to_json()

    def table(self) -> pd.DataFrame:
        """One row: `layer, kind, size, mean, deviation, smallest, largest, zeros`."""
        return pd.DataFrame([vars(self)]).rename(columns={"name": "layer"})


@dataclass(frozen=True)
class Activations(Result):
    """All layers in the order in which they answer, and the forecast.

    Attributes:
        layers: The layers; dropout, which does nothing here, is left out.
        quantiles: `(B, H, Q)` the forecast, in the units of the data.
    """

    layers: tuple[Layer, ...]
    quantiles: Floats

    def __getitem__(self, name: str) -> Layer:
        return next(layer for layer in self.layers if layer.name == name)

    def summary(self) -> dict[str, Any]:
        return {"layers": [layer.summary() for layer in self.layers]}

    def table(self) -> pd.DataFrame:
        """A row of statistics per layer, not per value."""
        return pd.concat([one.table() for one in self.statistics], ignore_index=True)

    @property
    def statistics(self) -> tuple[LayerStatistics, ...]:
        """Each layer in a few numbers."""
        return tuple(layer.statistics for layer in self.layers)


@dataclass(frozen=True)
class States(Result):
    """The states of a recurrence of D units, in one layer, at each of N steps, for B windows.

    Attributes:
        layer: Which of the stacked recurrences, from 0.
        hidden: `(B, N, D)`.
        cell: `(B, N, D)`; that of an RNN or GRU is its hidden state.
        gates: `(B, N, D)` by name: "input", "forget", "candidate", "output" of an LSTM; "reset", "update",
            "candidate" of a GRU; none of an RNN. A GRU's update gate keeps: `h' = (1 - z) n + z h`.
        patch_length: Time steps in a step of the recurrence.
    """

    layer: int
    hidden: Floats
    cell: Floats
    gates: dict[str, Floats]
    patch_length: int

    def summary(self) -> dict[str, Any]:
        return {
            "layer": self.layer,
            "steps": self.hidden.shape[1],
            "units": self.hidden.shape[2],
            "patch_length": self.patch_length,
            "gates": {name: float(gate.mean()) for name, gate in self.gates.items()},
        }

    def table(self) -> pd.DataFrame:
        """`window, step, unit, hidden, cell` and a column for each gate."""
        axes = [
            (name, np.arange(size)) for name, size in zip(("window", "step", "unit"), self.hidden.shape, strict=True)
        ]
        frame = grid(self.hidden, "hidden", *axes).assign(layer=self.layer, cell=self.cell.ravel())
        return frame.assign(**{name: gate.ravel() for name, gate in self.gates.items()})


def activations(network: Network, batch: Batch) -> Activations:
    """Every layer's output.

    Args:
        network: One network; of an ensemble one member.
        batch: B windows.
    """
    look = look_at(network, batch, unroll=False)
    found: dict[str, Layer] = {}

    def keep(name: str, module: nn.Module) -> None:
        def hook(_: nn.Module, __: tuple[Tensor, ...], output: Any) -> None:
            values = output[0] if isinstance(output, tuple) else output
            found[name] = Layer(name, type(module).__name__.lstrip("_"), values.numpy())

        module.register_forward_hook(hook)

    for name, module in look.network.named_modules():
        if not list(module.children()) and not isinstance(module, SILENT):
            keep(name, module)
    with torch.no_grad():
        quantiles = run(look)
    return Activations(tuple(found.values()), quantiles.numpy())


def states(network: Network, batch: Batch) -> tuple[States, ...]:
    """The states and gates of each layer of a recurrent network; of any other, nothing."""
    look = look_at(network, batch)
    with torch.no_grad():
        run(look)
    return states_of(look)


def states_of(look: Look) -> tuple[States, ...]:
    """The states after a forward pass."""
    if look.recurrence is None:
        return ()
    return tuple(
        States(
            number,
            _stacked(trace.hidden),
            _stacked(trace.cell),
            {name: _stacked([step[name] for step in trace.gates]) for name in trace.gates[0]},
            look.network.patch_length,
        )
        for number, trace in enumerate(look.recurrence.traces)
    )


def codes(network: Network, batch: Batch) -> Floats:
    """What the encoder says of each window: `(B, D)`, for a recurrence its last hidden state."""
    look = look_at(network, batch, unroll=False)
    kept: list[Tensor] = []
    look.network.encoder.register_forward_hook(lambda _, __, output: kept.append(output))
    with torch.no_grad():
        run(look)
    return kept[0].numpy()


def _stacked(steps: list[Tensor]) -> Floats:
    return torch.stack(steps, dim=1).detach().numpy()
