"""Recurrent encoders, one step of the recurrence per patch.

The plain tanh RNN (Elman 1990), the GRU (Cho et al. 2014), the LSTM (Hochreiter and Schmidhuber 1997).
"""

from typing import Literal

import torch
from torch import Tensor, nn

CELLS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class RecurrentEncoder(nn.Module):
    """Patches are embedded, then read one after the other; the last hidden state is the code.

    Args:
        kind: "rnn", "gru" or "lstm".
        patch_size: Features F of a patch.
        hidden_size: Units D of the state.
        num_layers: Stacked recurrences.
        dropout: Share of units dropped between them and at the end.
        activation: A plain RNN's "tanh" or "relu"; those of the other two are part of what they are.
    """

    def __init__(
        self,
        kind: Literal["rnn", "gru", "lstm"],
        patch_size: int,
        hidden_size: int,
        num_layers: int,
        dropout: float,
        activation: str,
    ) -> None:
        super().__init__()
        between = dropout if num_layers > 1 else 0.0
        options = {"nonlinearity": activation} if kind == "rnn" else {}
        self.embedding = nn.Linear(patch_size, hidden_size)
        self.recurrence = CELLS[kind](
            hidden_size, hidden_size, num_layers, dropout=between, batch_first=True, **options
        )
        self.dropout = nn.Dropout(dropout)
        _initialise(self.recurrence)

    def forward(self, patches: Tensor) -> Tensor:
        """`(B, N, F) -> (B, D)`."""
        states, _ = self.recurrence(self.embedding(patches))  # (B, N, D)
        code: Tensor = self.dropout(states[:, -1])
        return code


def _initialise(recurrence: nn.RNNBase) -> None:
    """Weights that let gradients pass from the start.

    Each gate's recurrent matrix is orthogonal (Saxe et al. 2014), that of a plain RNN with relu the
    identity (Le et al. 2015), and an LSTM's forget gates start open, at a bias of 1 in all (Jozefowicz
    et al. 2015).
    """
    size = recurrence.hidden_size
    for name, parameter in recurrence.named_parameters():
        if name.startswith("weight_hh"):
            for gate in torch.split(parameter.data, size):
                nn.init.eye_(gate) if recurrence.mode == "RNN_RELU" else nn.init.orthogonal_(gate)
        elif name.startswith("weight_ih"):
            nn.init.xavier_uniform_(parameter)
        else:
            nn.init.zeros_(parameter)
            if isinstance(recurrence, nn.LSTM) and name.startswith("bias_ih"):
                nn.init.ones_(parameter.data[size : 2 * size])
