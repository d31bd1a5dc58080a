"""The loss of a network on a batch, for training and for looking at its gradients."""

from typing import Literal

import torch
from torch import Tensor

from forecast.networks import Frame, Network
from forecast.scaling import slope
from forecast.windows import Batch

LARGEST_UNIT = 10.0  # window scales to a naive error: beyond it a few nearly constant series would rule the rest

ErrorUnit = Literal["window", "seasonal-error", "data"]


def batch_loss(network: Network, batch: Batch, error_unit: ErrorUnit) -> tuple[Tensor, Tensor]:
    """The loss of the network's head, and how many values it is the mean of.

    Windows without a scale have no say.

    Args:
        network: The network.
        batch: The windows.
        error_unit: What an error counts in (`TrainingConfig.error_unit`).
    """
    output, frame = network.scaled(batch.context, batch.observed, batch.known, batch.static)
    counts = batch.target_observed & (frame.size > 0)
    target = network.in_units_of_output(batch.target, frame).masked_fill(~counts, 0)
    error = network.head.error(output, target, _unit(network, batch, frame, error_unit))
    number = counts.sum()
    return error.masked_fill(~counts, 0).sum() / number.clamp(min=1), number


def _unit(network: Network, batch: Batch, frame: Frame, error_unit: ErrorUnit) -> Tensor:
    """What an error of 1 in the output counts, `(B, H)`."""
    if error_unit == "window":
        return torch.ones_like(batch.target)
    size = frame.size.expand_as(batch.target)
    if error_unit == "data":
        return size
    # A small error of the transformed data is `slope` times as much in the data themselves.
    unit = size * slope(batch.target, frame.unit, network.transform) / batch.naive_error.unsqueeze(1)
    return torch.where(unit.isfinite(), unit.clamp(max=LARGEST_UNIT), 1)
