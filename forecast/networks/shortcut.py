"""The seasonal shortcut: what the same point of the last season was, for the network to correct."""

import torch
from torch import Tensor


def seasonal_shortcut(
    context: Tensor, observed: Tensor, season: int, prediction_length: int, fallback: Tensor
) -> Tensor:
    """Repeat the last season forward: seasonal naive, inside the network.

    A value that is missing is taken from the latest season that has it; where none has, the fallback
    stands in.

    Args:
        context: `(B, L)`, 0 where not observed.
        observed: `(B, L)` mask.
        season: Steps per season, 1 for the last value, 0 for the fallback alone.
        prediction_length: Steps H wanted.
        fallback: `(B, 1)`.

    Returns:
        `(B, H)` in the units of the context.
    """
    if season == 0:
        return fallback.expand(-1, prediction_length)
    seasons = context.shape[1] // season
    past = context[:, context.shape[1] - seasons * season :].reshape(-1, seasons, season)
    seen = observed[:, observed.shape[1] - seasons * season :].reshape(-1, seasons, season)
    rank = torch.arange(1, seasons + 1, dtype=torch.int32, device=context.device).view(1, -1, 1)
    latest = (seen * rank).amax(1)  # (B, S): 0 where no season has it
    values = past.gather(1, (latest - 1).clamp(min=0).long().unsqueeze(1)).squeeze(1)
    values = torch.where(latest > 0, values, fallback)
    repeats = -(-prediction_length // season)
    return values.repeat(1, repeats)[:, :prediction_length]
