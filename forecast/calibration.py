"""Conformal calibration: quantiles moved away from the median or towards it until they hold what they say.

Split conformal prediction (Vovk et al. 2005) with the distance between quantile and median as the unit of
the error (normalised scores, Papadopoulos et al. 2008; quantiles as in Romano et al. 2019), for each lead
time and each level by itself. The median stays.
"""

import torch
from torch import Tensor

ENOUGH = 400  # errors behind a factor; where a lead time has fewer, its neighbours lend theirs
TOO_FEW = 20  # under which nothing is moved
LEAST, MOST = 0.2, 5.0
BELIEF = 3  # origins' worth of belief that the quantiles are right as they are


def stretch(quantiles: Tensor, factors: Tensor, middle: int) -> Tensor:
    """Move quantiles away from the median.

    Args:
        quantiles: `(B, H, Q)`, ascending.
        factors: `(H, Q)`; 1 leaves a quantile where it is.
        middle: Index of the median.

    Returns:
        `(B, H, Q)`, ascending.
    """
    median = quantiles[..., middle : middle + 1]
    moved = torch.where(factors == 1, quantiles, median + (quantiles - median) * factors)
    lower = moved[..., : middle + 1].flip(-1).cummin(-1).values.flip(-1)
    return torch.cat((lower, moved[..., middle:].cummax(-1).values[..., 1:]), dim=-1)


def stretch_factors(quantiles: Tensor, actual: Tensor, observed: Tensor, levels: Tensor) -> Tensor:
    """The factors under which quantiles would have held what they say.

    Args:
        quantiles: `(N, H, Q)` forecasts of windows that were not trained on.
        actual: `(N, H)` what came.
        observed: `(N, H)` mask.
        levels: `(Q,)` ascending, 0.5 among them.

    Returns:
        `(H, Q)`: from `LEAST` to `MOST`, 1 at the median and where too little is known.
    """
    horizon, middle = actual.shape[1], int((levels == 0.5).nonzero())
    reach = min(horizon - 1, max(0, -(-ENOUGH // max(len(actual), 1)) // 2))
    factors = torch.ones(horizon, len(levels))
    median = quantiles[..., middle].double()
    for k, level in enumerate(levels.double().tolist()):
        if k == middle:
            continue
        gap = quantiles[..., k].double() - median
        score = ((actual - median) / gap).masked_fill((gap == 0) | ~observed, torch.nan)
        padded = torch.nn.functional.pad(score, (reach, reach), value=torch.nan)
        pooled = padded.unfold(1, 2 * reach + 1, 1).permute(1, 0, 2).flatten(1)  # (H, N * (2 reach + 1))
        number = pooled.isfinite().sum(1)
        # Of n errors the p-quantile is the one of rank p (n + 1): the next one is as likely to be any.
        share = (max(level, 1 - level) * (number + 1) / number.clamp(min=1)).clamp(max=1)
        found = torch.stack(
            [torch.nanquantile(row, one) for row, one in zip(pooled, share.to(pooled.dtype), strict=True)]
        )
        found = found.clamp(LEAST, MOST).nan_to_num(1.0)
        factors[:, k] = torch.where(number >= TOO_FEW, found, 1.0).float()
    return factors


def shrink(factors: Tensor, origins: int) -> Tensor:
    """Draw factors towards 1, the more so the fewer origins they were learnt from.

    All series of an origin share what happened after it (a crisis, a mild winter), so that thousands of their
    errors may be worth little more than one: only other origins tell what is usual.

    Args:
        factors: `(H, Q)`.
        origins: Forecasts made one after the other, of each series.
    """
    return 1 + (factors - 1) * origins / (origins + BELIEF)
