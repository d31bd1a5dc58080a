"""One or several networks that answer as one: combined, calibrated, and never below 0 where nothing ever was."""

from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from forecast.calibration import stretch
from forecast.networks.network import Network


class Ensemble(nn.Module):
    """Networks side by side, each reading as much of the history as it was made for.

    Args:
        members: M networks of the same horizon and levels.
        levels: Q ascending levels.
        combination: "median" of the members' quantiles, or their mean with "weights".
        nonnegative: Whether series without negative values get forecasts without.

    Attributes:
        weights: `(M,)` the members' weights, adding up to 1; equal until they are fitted.
        factors: `(H, Q)` how far each quantile is moved away from the median; 1 until they are fitted.
    """

    weights: Tensor
    factors: Tensor

    def __init__(
        self,
        members: Sequence[Network],
        levels: Sequence[float],
        combination: Literal["median", "weights"],
        nonnegative: bool,
    ) -> None:
        super().__init__()
        self._members = nn.ModuleList(members)
        self.combination, self.nonnegative = combination, nonnegative
        self.prediction_length = members[0].prediction_length
        self.context_length = max(member.context_length for member in members)
        self.middle = list(levels).index(0.5)
        self.register_buffer("weights", torch.full((len(members),), 1 / len(members)))
        self.register_buffer("factors", torch.ones(self.prediction_length, len(levels)))

    def forward(self, context: Tensor, observed: Tensor, known: Tensor, static: Tensor | None = None) -> Tensor:
        """Forecast: takes and gives what `Network.forward` does, L being the longest context of the members."""
        quantiles = self.combine(self.each(context, observed, known, static))
        quantiles = stretch(quantiles, self.factors, self.middle)
        if self.nonnegative:
            positive = (context.masked_fill(~observed, 0) >= 0).all(1).view(-1, 1, 1)
            quantiles = torch.where(positive, quantiles.clamp(min=0), quantiles)
        return quantiles

    @property
    def members(self) -> list[Network]:
        """The M networks."""
        return cast(list[Network], list(self._members))

    def each(self, context: Tensor, observed: Tensor, known: Tensor, static: Tensor | None = None) -> Tensor:
        """What each member says alone: `(M, B, H, Q)`."""
        skipped = [self.context_length - member.context_length for member in self.members]
        return torch.stack(
            [
                member(context[:, skip:], observed[:, skip:], known[:, skip:], static)
                for member, skip in zip(self.members, skipped, strict=True)
            ]
        )

    def combine(self, quantiles: Tensor) -> Tensor:
        """`(M, B, H, Q) -> (B, H, Q)`; quantiles that do not cross in any member do not cross here."""
        if len(quantiles) == 1:
            return quantiles[0]
        if self.combination == "median":
            ordered = quantiles.sort(0).values
            return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
        return torch.einsum("m,mbhq->bhq", self.weights, quantiles)
