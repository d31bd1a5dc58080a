"""Where forecasts are computed: a bounded queue, and one thread that answers many requests in one forward pass."""

from service.engine.engine import Engine, EngineLimits

__all__ = ["Engine", "EngineLimits"]
