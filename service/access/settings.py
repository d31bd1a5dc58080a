"""The settings of who may ask, from environment variables."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from forecast.errors import ParameterError, Problem
from service.access.keys import Keys
from service.access.rates import RateLimit

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+")


@dataclass(frozen=True)
class AccessSettings:
    """Who may ask, and how often.

    Attributes:
        keys: FORECAST_API_KEYS and FORECAST_API_KEYS_FILE, the keys that are taken; None: nobody needs one.
        rate_limit: FORECAST_RATE_LIMIT, requests a second for each key (without keys, for each address), and
            FORECAST_RATE_BURST, requests at once, by default as many as in two seconds; None: no limit.
        origins: FORECAST_CORS_ORIGINS, the web pages' origins that a browser lets ask; none by default.
    """

    keys: Keys | None = None
    rate_limit: RateLimit | None = None
    origins: tuple[str, ...] = field(default=())

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], host: str) -> Self:
        """Read the settings; a variable that is empty counts as not set.

        Args:
            environ: The variables.
            host: The address listened on: others than this machine's own need keys.

        Raises:
            ParameterError: A variable cannot be used, or there are no keys where they are needed.
        """
        keys = _keys(environ)
        anonymous = environ.get("FORECAST_ALLOW_ANONYMOUS") or "no"
        if anonymous not in ("yes", "no"):
            raise ParameterError(Problem(f"FORECAST_ALLOW_ANONYMOUS={anonymous[:20]} is neither yes nor no", "set yes"))
        if keys is None and anonymous == "no" and not is_loopback(host):
            problem = Problem(
                f"FORECAST_HOST={host} can be reached by others, and no API keys are set",
                "set FORECAST_API_KEYS or FORECAST_API_KEYS_FILE (`python -m service.access.keys NAME` makes a key), "
                "or FORECAST_ALLOW_ANONYMOUS=yes if whoever gets there may ask",
            )
            raise ParameterError(problem)
        return cls(keys, _rate_limit(environ), _origins(environ.get("FORECAST_CORS_ORIGINS", "")))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _keys(environ: Mapping[str, str]) -> Keys | None:
    entries, file = environ.get("FORECAST_API_KEYS", "").strip(), environ.get("FORECAST_API_KEYS_FILE", "")
    if not entries and not file:
        return None
    return Keys(entries, Path(file) if file else None)


def _rate_limit(environ: Mapping[str, str]) -> RateLimit | None:
    rate = environ.get("FORECAST_RATE_LIMIT", "")
    if not rate:
        if environ.get("FORECAST_RATE_BURST"):
            raise ParameterError(Problem("FORECAST_RATE_BURST is set, FORECAST_RATE_LIMIT is not", "set both"))
        return None
    per_second = _positive("FORECAST_RATE_LIMIT", rate)
    burst = environ.get("FORECAST_RATE_BURST") or str(max(2 * per_second, 1))
    return RateLimit(per_second, max(int(_positive("FORECAST_RATE_BURST", burst)), 1))


def _positive(name: str, text: str) -> float:
    try:
        number = float(text[:20])
    except ValueError:
        number = 0.0
    if not 0 < number <= 1e6:
        raise ParameterError(Problem(f"{name}={text[:20]} is not a number of requests", "use one such as 50"))
    return number


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(text.replace(",", " ").split())
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            problem = Problem(
                f"FORECAST_CORS_ORIGINS: {origin[:50]!r} is no origin", "write https://example.org, without a path"
            )
            raise ParameterError(problem)
    return origins
