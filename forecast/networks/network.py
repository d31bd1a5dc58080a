"""The whole network, of which an architecture is one part: scaler, patches, encoder, head, shortcut."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from forecast.config import ForecasterConfig, NetworkConfig
from forecast.networks.activation import activated
from forecast.networks.cnn import ConvolutionalEncoder
from forecast.networks.feedforward import FeedforwardEncoder
from forecast.networks.recurrent import RecurrentEncoder
from forecast.networks.shortcut import seasonal_shortcut
from forecast.outputs import build_head
from forecast.scaling import Scale, compress, expand, log_unit, window_scale

FIRST_SHARE = 1.0  # logarithm of how much more an untrained network gives to the first shortcut than to others


class Frame(NamedTuple):
    """What a network's output is measured from: `forecast = expand(base + size * output, unit)`.

    Attributes:
        base: `(B, H)` the mean of the shortcuts, in the units of the transformed data.
        size: `(B, 1)` the window's scale; 0 where there is nothing to learn from it.
        unit: `(B, 1)` what the data are counted in before they are transformed.
    """

    base: Tensor
    size: Tensor
    unit: Tensor


class Network(nn.Module):
    """A window of history in, quantiles of the future out, both in the units of the data.

    The context is scaled, cut into patches (each its values, its mask and its known features), encoded
    into one vector, and decoded at once for all steps ahead, together with what is known of them and what
    they were some seasons before (the shortcuts). The result is added to a mean of the shortcuts, whose
    weights the network gives, so that an untrained network is about as good as seasonal naive.

    Args:
        config: A resolved configuration: context, patch and shortcut lengths are set.
        known_size: Features K known for every step, past and future.
        static_size: Features S of a series as a whole.
    """

    def __init__(self, config: ForecasterConfig, known_size: int, static_size: int = 0) -> None:
        super().__init__()
        network = config.network
        self.context_length = config.context_length or 0
        self.patch_length = network.patch_length or 1
        self.prediction_length = config.prediction_length
        self.shortcuts = network.shortcut or (0,)
        self.scaling, self.transform = network.scaling, network.transform or "none"
        num_patches = self.context_length // self.patch_length
        self.encoder = _encoder(network, num_patches, self.patch_length * (2 + known_size))
        future = self.prediction_length * (len(self.shortcuts) + known_size)
        decoder = nn.Linear(network.hidden_size + future + static_size, network.hidden_size)
        self.decoder = nn.Sequential(*activated(decoder, network.activation or "relu"))
        self.mixing = nn.Linear(network.hidden_size, self.prediction_length * len(self.shortcuts))
        with torch.no_grad():
            self.mixing.weight.zero_()
            first = FIRST_SHARE * (torch.arange(len(self.shortcuts)) == 0)
            self.mixing.bias.copy_(first.repeat(self.prediction_length))
        self.head = build_head(config, network.hidden_size)

    def forward(self, context: Tensor, observed: Tensor, known: Tensor, static: Tensor | None = None) -> Tensor:
        """Forecast.

        Args:
            context: `(B, L)` values; what stands where nothing was observed has no effect.
            observed: `(B, L)` mask.
            known: `(B, L+H, K)` features known for past and future.
            static: `(B, S)` features of the series; not needed where there are none.

        Returns:
            `(B, H, Q)` quantiles, never crossing.
        """
        return self.quantiles(*self.scaled(context, observed, known, static))

    def scaled(
        self, context: Tensor, observed: Tensor, known: Tensor, static: Tensor | None = None
    ) -> tuple[Tensor, Frame]:
        """The head's output, in units of its frame, and the frame."""
        context, unit = self.compressed(context, observed)
        scale = window_scale(context, observed, self.scaling)
        return self.read(context, scale, unit, observed, known, static)

    def compressed(self, context: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """The context `(B, L)` as it is scaled: transformed, and 0 where not observed; and its unit `(B, 1)`."""
        context = context.masked_fill(~observed, 0)
        unit = log_unit(context, observed, self.transform)
        return compress(context, unit, self.transform), unit

    def read(
        self, context: Tensor, scale: Scale, unit: Tensor, observed: Tensor, known: Tensor, static: Tensor | None
    ) -> tuple[Tensor, Frame]:
        """What `scaled` gives, from a compressed context and the scale to see it by."""
        bases = [
            seasonal_shortcut(context, observed, season, self.prediction_length, scale.mean)
            for season in self.shortcuts
        ]
        code = self.encoder(self._patches(scale.apply(context) * observed, observed, known))
        future = torch.cat((*map(scale.apply, bases), known[:, self.context_length :].flatten(1)), dim=1)
        parts = (code, future) if static is None else (code, future, static)
        hidden = self.decoder(torch.cat(parts, dim=1))
        # (B, S, H) for S shortcuts: over the few numbers of a last dimension torch's softmax is several times slower.
        shares = self.mixing(hidden).view(-1, self.prediction_length, len(self.shortcuts)).mT.softmax(1)
        base = (torch.stack(bases, dim=1) * shares).sum(1)
        output: Tensor = self.head(hidden)
        return output, Frame(base, scale.size, unit)

    def quantiles(self, output: Tensor, frame: Frame) -> Tensor:
        """An output as quantiles `(B, H, Q)` in the units of the data."""
        base, size, unit = (part.unsqueeze(-1) for part in frame)
        return expand(base + self.head.quantiles(output) * size, unit, self.transform)

    def in_units_of_output(self, target: Tensor, frame: Frame) -> Tensor:
        """What the output should have been: `(B, H)`. Where the frame has no size, nothing it says counts."""
        size = frame.size.masked_fill(frame.size == 0, 1)
        return (compress(target, frame.unit, self.transform) - frame.base) / size

    def _patches(self, values: Tensor, observed: Tensor, known: Tensor) -> Tensor:
        """`(B, N, P * (2 + K))`: each patch's values, mask and known features."""
        parts = (values.unsqueeze(-1), observed.unsqueeze(-1).to(values.dtype), known[:, : self.context_length])
        steps = torch.cat(parts, dim=-1)  # (B, L, 2 + K)
        return steps.reshape(steps.shape[0], -1, self.patch_length * steps.shape[-1])


def _encoder(config: NetworkConfig, num_patches: int, patch_size: int) -> nn.Module:
    """The part in which architectures differ: `(B, N, F) -> (B, D)`."""
    size, layers, dropout = config.hidden_size, config.num_layers or 1, config.dropout
    if config.kind == "feedforward":
        return FeedforwardEncoder(num_patches, patch_size, size, layers, dropout, config.activation or "relu")
    if config.kind == "cnn":
        return ConvolutionalEncoder(patch_size, size, layers, dropout, config.activation or "relu")
    return RecurrentEncoder(config.kind, patch_size, size, layers, dropout, config.activation or "tanh")
