"""Horizons beyond the trained one: forecasts that go on from the network's own."""

import torch
from torch import Tensor

from forecast.compiled import Forecasting
from forecast.levels import level_shares
from forecast.windows import Batch

MOST_BLOCKS = 8  # how often a forecast may follow on its own
PATHS = (0.1, 0.3, 0.5, 0.7, 0.9)  # levels along which the uncertainty of one block enters the next


def windows_read(blocks: int) -> int:
    """How many windows the network reads for one series: the first block's, and those along each path from then on."""
    return 1 + (blocks - 1) * len(PATHS)


def roll(network: Forecasting, batch: Batch, blocks: int, levels: Tensor) -> Tensor:
    """Forecast block after block, each of the trained horizon.

    From the second block on there is no single past any more, but one for each of a few quantiles of the
    block before. The network forecasts from each of them; the quantiles of all those forecasts together are
    the block's. So uncertainty grows from block to block, as it does in Chronos-Bolt.

    Args:
        network: The trained network, of horizon H.
        batch: B windows whose `known` reaches `blocks * H` steps beyond the origin.
        blocks: How many.
        levels: `(Q,)` the trained levels.

    Returns:
        `(B, blocks * H, Q)`, never crossing.
    """
    past, horizon = batch.context.shape[1], network.prediction_length
    quantiles = network(batch.context, batch.observed, batch.known[:, : past + horizon], batch.static)
    if blocks == 1:
        return quantiles
    parts = [quantiles]
    paths = torch.tensor([int((levels - path).abs().argmin()) for path in PATHS])
    context = batch.context.unsqueeze(1).expand(-1, len(paths), -1)
    observed = batch.observed.unsqueeze(1).expand(-1, len(paths), -1)
    for block in range(1, blocks):
        context = torch.cat((context, quantiles[..., paths].transpose(1, 2)), dim=2)[..., -past:]  # (B, P, L)
        observed = torch.cat((observed, observed.new_ones(*observed.shape[:2], horizon)), dim=2)[..., -past:]
        known = batch.known[:, block * horizon : past + (block + 1) * horizon]
        beside = (part.repeat_interleave(len(paths), dim=0) for part in (known, batch.static))
        each = network(context.flatten(0, 1), observed.flatten(0, 1), *beside)
        each = each.view(-1, len(paths), *each.shape[1:])  # (B, P, H, Q)
        quantiles = _quantiles_of_all(each, levels)
        parts.append(quantiles)
    return torch.cat(parts, dim=1)


def _quantiles_of_all(each: Tensor, levels: Tensor) -> Tensor:
    """Quantiles of an even mixture of P forecasts: `(B, P, H, Q) -> (B, H, Q)`."""
    shares = level_shares(levels.tolist()).expand(each.shape[1], -1).flatten() / each.shape[1]
    values, order = each.permute(0, 2, 1, 3).flatten(2).sort(-1)  # (B, H, P * Q)
    weight = shares[order]
    reached = weight.cumsum(-1) - weight / 2
    right = torch.searchsorted(reached, levels.to(reached).expand(*reached.shape[:-1], -1).contiguous())
    right = right.clamp(1, values.shape[-1] - 1)
    low, high = reached.gather(-1, right - 1), reached.gather(-1, right)
    share = ((levels.to(reached) - low) / (high - low)).clamp(0, 1).to(values.dtype)
    return torch.lerp(values.gather(-1, right - 1), values.gather(-1, right), share)
