"""Who may ask, and how often: API keys, a rate limit for each, and the headers of every answer."""

from service.access.settings import AccessSettings

__all__ = ["AccessSettings"]
