"""Networks: one shared frame, one encoder per architecture. They know nothing of Lightning."""

from forecast.networks.ensemble import Ensemble
from forecast.networks.network import Frame, Network

__all__ = ["Ensemble", "Frame", "Network"]
