"""Weights of an ensemble's members, found on windows that none was trained on."""

import torch
from torch import Tensor

from forecast.outputs import pinball

ROUNDS = 40


def select_weights(quantiles: Tensor, actual: Tensor, observed: Tensor, unit: Tensor, levels: Tensor) -> Tensor:
    """Greedy selection with replacement: again and again the member that helps the mean most.

    Caruana et al. 2004, "Ensemble selection from libraries of models": weights stay few, positive and
    add up to 1, and it takes many rounds to overfit.

    Args:
        quantiles: `(M, N, H, Q)` of M members.
        actual: `(N, H)` what came.
        observed: `(N, H)` mask.
        unit: `(N,)` what an error of 1 counts.
        levels: `(Q,)`.

    Returns:
        `(M,)` weights.
    """
    chosen = torch.zeros(len(quantiles))
    total = torch.zeros_like(quantiles[0])
    counts = observed.unsqueeze(-1) * unit.view(-1, 1, 1)
    for number in range(1, ROUNDS + 1):
        losses = [
            (pinball(actual.unsqueeze(-1) - (total + member) / number, levels) * counts).sum() for member in quantiles
        ]
        best = int(torch.stack(losses).argmin())
        chosen[best] += 1
        total += quantiles[best]
    return chosen / chosen.sum()
