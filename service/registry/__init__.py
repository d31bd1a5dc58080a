"""Where registered models come from: which version an alias means, what its run says, and its files."""

from service.registry.found import Found, Origin, Registry, open_registry, prepared

__all__ = ["Found", "Origin", "Registry", "open_registry", "prepared"]
