"""What a convolutional network can see, and which rhythms its kernels let through."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from forecast.inspection.results import Floats, Result
from forecast.inspection.units import season_of
from forecast.networks import Network
from forecast.networks.cnn import ConvolutionalEncoder

FREQUENCIES = 65  # from 0 to the highest that a kernel's taps can tell


@dataclass(frozen=True)
class ReceptiveField(Result):
    """How far back a network can look.

    Attributes:
        steps: Time steps before the origin that its code can depend on.
        context: Time steps it is given.
        season: Time steps of the longest season it knows of; 1 without any.
    """

    steps: int
    context: int
    season: int

    def summary(self) -> dict[str, Any]:
        return {"steps": self.steps, "context": self.context, "season": self.season}

    def table(self) -> pd.DataFrame:
        """One row."""
        return pd.DataFrame([self.summary()])


@dataclass(frozen=True)
class FrequencyResponse(Result):
    """How strongly one layer's kernels pass each rhythm.

    Attributes:
        layer: Its name.
        frequency: `(F,)` cycles per time step of the data; 1 / 24 is a day of hours.
        gain: `(F,)` root mean square over outputs of `|sum_k w_k exp(-2 pi i f k)|`, all inputs together.
    """

    layer: str
    frequency: Floats
    gain: Floats

    def summary(self) -> dict[str, Any]:
        peak = int(self.gain[1:].argmax()) + 1 if len(self.gain) > 1 else 0
        return {
            "layer": self.layer,
            "peak_period": float(1 / self.frequency[peak]) if self.frequency[peak] > 0 else None,
            "peak_gain": float(self.gain[peak]),
            "gain_at_0": float(self.gain[0]),
        }

    def table(self) -> pd.DataFrame:
        """`layer, frequency, gain`."""
        return pd.DataFrame({"layer": self.layer, "frequency": self.frequency, "gain": self.gain})


def receptive_field(network: Network) -> ReceptiveField:
    """`1 + sum (K - 1) d` over a CNN's convolutions, in patches, times the patch; any other sees its whole context."""
    context, steps = network.context_length, network.context_length
    if isinstance(network.encoder, ConvolutionalEncoder):
        steps = min(network.encoder.receptive_field * network.patch_length, context)
    return ReceptiveField(steps, context, season_of(network))


def frequency_responses(network: Network) -> tuple[FrequencyResponse, ...]:
    """The response of each kernel of a CNN: the patches' embedding, then the convolutions; of any other, nothing."""
    encoder = network.encoder
    if not isinstance(encoder, ConvolutionalEncoder):
        return ()
    length = network.patch_length
    with torch.no_grad():
        # The weights of the values in a patch, oldest first, are a kernel with a tap for each time step.
        taps = encoder.embedding.weight.view(-1, length, encoder.embedding.in_features // length)[..., 0]
        found = [_response("encoder.embedding", taps.unsqueeze(1), 1)] if length > 1 else []
        for name, module in encoder.named_modules():
            if isinstance(module, nn.Conv1d):
                found.append(_response(f"encoder.{name}", module.weight, module.dilation[0] * length))
    return tuple(found)


def _response(layer: str, weight: torch.Tensor, spacing: int) -> FrequencyResponse:
    """Of a kernel `(out, in, K)` whose taps are so many time steps apart."""
    taps = weight.double().numpy()
    frequency = np.linspace(0, 0.5 / spacing, FREQUENCIES)
    waves = np.exp(-2j * np.pi * np.outer(np.arange(taps.shape[-1]) * spacing, frequency))
    gain = np.sqrt((np.abs(taps @ waves) ** 2).sum(1).mean(0))
    return FrequencyResponse(layer, frequency, gain)
