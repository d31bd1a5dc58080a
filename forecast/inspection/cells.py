"""Recurrent cells written equation by equation, for looking: what torch's fused ones give, with nothing hidden.

Slow (a Python loop over steps), used for a few windows only, and tested equal to the fused ones. Every state is a
tensor of its own, so that gradients with respect to it can be asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

State = tuple[Tensor, Tensor]  # hidden state and cell, (B, D) each; the cell of an RNN or GRU is its hidden state
Gates = dict[str, Tensor]
Cell = Callable[[Tensor, State, nn.RNNBase, int], tuple[State, Gates]]


def rnn_cell(x: Tensor, state: State, weights: nn.RNNBase, layer: int) -> tuple[State, Gates]:
    """Elman 1990: `h' = tanh(W x + U h + b)`, or relu."""
    h, _ = state
    a = _from_input(x, weights, layer) + _from_state(h, weights, layer)
    h = a.relu() if weights.mode == "RNN_RELU" else a.tanh()
    return (h, h), {}


def gru_cell(x: Tensor, state: State, weights: nn.RNNBase, layer: int) -> tuple[State, Gates]:
    """Cho et al. 2014, arXiv 1406.1078, eqs. 5-8, with the reset gate after the product as in cuDNN."""
    h, _ = state
    x_r, x_z, x_n = _from_input(x, weights, layer).chunk(3, dim=-1)
    h_r, h_z, h_n = _from_state(h, weights, layer).chunk(3, dim=-1)
    r = torch.sigmoid(x_r + h_r)  # reset: how much of the state the candidate sees
    z = torch.sigmoid(x_z + h_z)  # update: how much of the state is kept
    n = torch.tanh(x_n + r * h_n)  # candidate
    h = (1 - z) * n + z * h
    return (h, h), {"reset": r, "update": z, "candidate": n}


def lstm_cell(x: Tensor, state: State, weights: nn.RNNBase, layer: int) -> tuple[State, Gates]:
    """Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000."""
    h, c = state
    a_i, a_f, a_g, a_o = (_from_input(x, weights, layer) + _from_state(h, weights, layer)).chunk(4, dim=-1)
    i, f, o = torch.sigmoid(a_i), torch.sigmoid(a_f), torch.sigmoid(a_o)
    g = torch.tanh(a_g)  # candidate
    c = f * c + i * g
    h = o * torch.tanh(c)
    return (h, c), {"input": i, "forget": f, "candidate": g, "output": o}


CELLS: dict[str, Cell] = {"RNN_TANH": rnn_cell, "RNN_RELU": rnn_cell, "GRU": gru_cell, "LSTM": lstm_cell}


@dataclass(frozen=True)
class Trace:
    """What one layer of a recurrence did at each of N steps.

    Attributes:
        inputs: N tensors `(B, F)`.
        hidden: N tensors `(B, D)`.
        cell: N tensors `(B, D)`; those of an RNN or GRU are its hidden states.
        gates: N dicts of tensors `(B, D)` by the gate's name; empty for an RNN.
    """

    inputs: list[Tensor] = field(default_factory=list)
    hidden: list[Tensor] = field(default_factory=list)
    cell: list[Tensor] = field(default_factory=list)
    gates: list[Gates] = field(default_factory=list)


class UnrolledRecurrence(nn.Module):
    """A stand-in for torch's fused recurrence that shows each step.

    Args:
        recurrence: The fused one, whose weights it uses; dropout between its layers is left out.

    Attributes:
        traces: One for each layer, of the last call.
    """

    def __init__(self, recurrence: nn.RNNBase) -> None:
        super().__init__()
        self.fused = recurrence
        self.traces: list[Trace] = []

    def forward(self, inputs: Tensor) -> tuple[Tensor, None]:
        """`(B, N, F) -> (B, N, D)`, as torch's with `batch_first`, without its last state."""
        cell = CELLS[self.fused.mode]
        self.traces = []
        for layer in range(self.fused.num_layers):
            zero = inputs.new_zeros(len(inputs), self.fused.hidden_size)
            state, trace = (zero, zero), Trace()
            for x in inputs.unbind(1):
                state, gates = cell(x, state, self.fused, layer)
                trace.inputs.append(x)
                trace.hidden.append(state[0])
                trace.cell.append(state[1])
                trace.gates.append(gates)
            self.traces.append(trace)
            inputs = torch.stack(trace.hidden, dim=1)
        return inputs, None


def _from_input(x: Tensor, weights: nn.RNNBase, layer: int) -> Tensor:
    matrix, bias = getattr(weights, f"weight_ih_l{layer}"), getattr(weights, f"bias_ih_l{layer}")
    return nn.functional.linear(x, matrix, bias)


def _from_state(h: Tensor, weights: nn.RNNBase, layer: int) -> Tensor:
    matrix, bias = getattr(weights, f"weight_hh_l{layer}"), getattr(weights, f"bias_hh_l{layer}")
    return nn.functional.linear(h, matrix, bias)
