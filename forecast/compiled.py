"""A network compiled for those who answer one request after the other: the same numbers, sooner.

Eager torch decides anew at every one of some 150 small operations; recorded once, they run without Python in
between, and other threads of Python go on meanwhile. docs/benchmarks.md compares the ways to do it. TorchScript
needs neither a C++ compiler nor a further library at run time, and is ready at once; torch has named successors
for it (`torch.compile`, `torch.export`), which need one or the other, and still ships it.
"""

import warnings
from collections.abc import Callable, Hashable
from copy import deepcopy
from typing import Protocol

import torch
from torch import Tensor

from forecast.calendar import feature_names
from forecast.config import ForecasterConfig
from forecast.covariate_features import static_size, varying_size
from forecast.networks import Ensemble
from forecast.windows import Batch

_recorded: dict[Hashable, torch.nn.Module] = {}

TOLERANCE = 1e-5  # of the largest value: the sums may be taken in another order


class Forecasting(Protocol):
    """What forecasts windows: an `Ensemble`, or one that is compiled."""

    @property
    def prediction_length(self) -> int:
        """Steps H."""
        ...

    def __call__(self, context: Tensor, observed: Tensor, known: Tensor, static: Tensor | None = None) -> Tensor:
        """As `Network.forward`."""
        ...


class CompiledNetwork:
    """A network's forward pass, recorded once for all networks of its shape: what torch records it keeps for ever.

    Args:
        network: A trained network in evaluation mode; what becomes of its weights later changes nothing here.
        config: Its settings.
        windows: Makes any number of windows, to record and to compare with.

    Raises:
        RuntimeError: The recorded pass does not give what the network gives.
    """

    def __init__(self, network: Ensemble, config: ForecasterConfig, windows: Callable[[int], Batch]) -> None:
        self.prediction_length = network.prediction_length
        shape = _shape(config)
        if shape not in _recorded:
            with warnings.catch_warnings(), torch.inference_mode():
                warnings.simplefilter("ignore")  # of its successors
                _recorded[shape] = torch.jit.trace(network, _inputs(windows(2)), check_trace=False)  # type: ignore[no-untyped-call]
        self._forward = deepcopy(_recorded[shape])
        self._forward.load_state_dict({**dict(network.named_parameters()), **dict(network.named_buffers())})
        for number in (1, 3, 5):  # the first passes are slow as well: they are optimised then
            self._compare(network, _inputs(windows(number)))

    def __call__(self, context: Tensor, observed: Tensor, known: Tensor, static: Tensor | None = None) -> Tensor:
        """As `Network.forward`."""
        if static is None:
            static = context.new_empty(len(context), 0)
        quantiles: Tensor = self._forward(context, observed, known, static)
        return quantiles

    def _compare(self, network: Ensemble, inputs: tuple[Tensor, ...]) -> None:
        with torch.inference_mode():
            expected, found = network(*inputs), self._forward(*inputs)
        if not (found - expected).abs().max() <= TOLERANCE * expected.abs().max():
            raise RuntimeError("the compiled network does not forecast what the network forecasts")


def _inputs(batch: Batch) -> tuple[Tensor, ...]:
    return batch.context, batch.observed, batch.known, batch.static


def _shape(config: ForecasterConfig) -> Hashable:
    """All that decides what a network computes, but for its weights."""
    members = [(one.context_length, one.network.model_dump_json()) for one in config.networks]
    known = len(feature_names(config.calendar_frequency)) + varying_size(config.covariates)
    whole = (config.prediction_length, config.quantile_levels, config.combination, config.nonnegative)
    return (*members, known, static_size(config.covariates), *whole)
