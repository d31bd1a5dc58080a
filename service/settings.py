"""The service's settings, from environment variables alone."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from forecast.errors import ParameterError, Problem
from forecast.reference import ModelReference
from service.access import AccessSettings

MODEL_HINT = "name the model to serve: NAME@champion, NAME/3, models:/... or a folder"
MOST_WORKERS = 64


@dataclass(frozen=True)
class Settings:
    """How to start.

    Attributes:
        models: FORECAST_MODEL, or several in FORECAST_MODELS, separated by commas: NAME@champion, NAME/3,
            models:/... or a folder.
        all_with: FORECAST_MODELS=@ALIAS, all registered models that have this alias, in place of `models`.
        host: FORECAST_HOST, the address to listen on.
        port: FORECAST_PORT, the port to listen on.
        tracking_uri: MLFLOW_TRACKING_URI, where models are registered; None where all are folders.
        cache: FORECAST_CACHE, the folder of verified models.
        poll_seconds: FORECAST_POLL_SECONDS, how often aliases are looked at.
        workers: FORECAST_WORKERS, how many processes answer.
        timeout: FORECAST_TIMEOUT_SECONDS, within which a request must have begun where it does not say so itself.
        longest_timeout: FORECAST_LONGEST_TIMEOUT_SECONDS, what a request may ask for at the most.
        queue: FORECAST_QUEUE_SERIES, how many series may wait.
        drain_seconds: FORECAST_DRAIN_SECONDS, how long to answer on after SIGTERM with /readyz already at 503.
        access: Who may ask, and how often.
    """

    models: tuple[ModelReference, ...] = ()
    all_with: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    tracking_uri: str | None = None
    cache: Path = Path("~/.cache/forecast")
    poll_seconds: float = 10.0
    workers: int = 1
    timeout: float = 30.0
    longest_timeout: float = 300.0
    queue: int = 10_000
    drain_seconds: float = 0.0
    access: AccessSettings = field(default_factory=AccessSettings)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings; a variable that is empty counts as not set.

        Raises:
            ParameterError: Names every variable that is missing or cannot be used.
        """
        problems: list[Problem] = []
        models, all_with = _models(environ, problems)
        tracking_uri = environ.get("MLFLOW_TRACKING_URI") or None
        needy = [f"@{all_with}"] if all_with else [str(model) for model in models if not model.folder]
        if needy and not tracking_uri:
            problems.append(
                Problem(
                    f"MLFLOW_TRACKING_URI is not set, and {needy[0]} is not a folder",
                    "say where models are registered, for example MLFLOW_TRACKING_URI=http://127.0.0.1:5000",
                )
            )
        numbers = _Numbers(environ, problems)
        host = environ.get("FORECAST_HOST") or cls.host
        settings = cls(
            models,
            all_with,
            host,
            int(numbers.read("FORECAST_PORT", cls.port, 1, 65535, "a port", whole=True)),
            tracking_uri if needy else None,  # nothing is asked of it for folders alone
            Path(environ.get("FORECAST_CACHE") or _default_cache(environ)).expanduser(),
            numbers.read("FORECAST_POLL_SECONDS", cls.poll_seconds, 0.1, 86_400),
            int(numbers.read("FORECAST_WORKERS", cls.workers, 1, MOST_WORKERS, whole=True)),
            numbers.read("FORECAST_TIMEOUT_SECONDS", cls.timeout, 0.001, 3600),
            numbers.read("FORECAST_LONGEST_TIMEOUT_SECONDS", cls.longest_timeout, 0.001, 3600),
            int(numbers.read("FORECAST_QUEUE_SERIES", cls.queue, 1, 10_000_000, whole=True)),
            numbers.read("FORECAST_DRAIN_SECONDS", cls.drain_seconds, 0, 3600),
            _access(environ, host, problems),
        )
        if problems:
            raise ParameterError(problems)
        return settings


def _models(environ: Mapping[str, str], problems: list[Problem]) -> tuple[tuple[ModelReference, ...], str | None]:
    """The models to serve, or the alias of all of them."""
    one, several = environ.get("FORECAST_MODEL"), environ.get("FORECAST_MODELS")
    if not one and not several:
        problems.append(Problem("FORECAST_MODEL is not set", MODEL_HINT))
        return (), None
    if one and several:
        problems.append(Problem("FORECAST_MODEL and FORECAST_MODELS are both set", "set one of them"))
        return (), None
    if several and several.strip().startswith("@"):
        alias = several.strip()[1:]
        try:
            return (), ModelReference.parse(f"any@{alias}").alias
        except ParameterError:
            problems.append(Problem(f"FORECAST_MODELS: {alias[:50]!r} is no alias", "write @champion, or names"))
            return (), None
    variable = "FORECAST_MODELS" if several else "FORECAST_MODEL"
    models: list[ModelReference] = []
    for text in several.split(",") if several else [one or ""]:
        try:
            models.append(ModelReference.parse(text.strip() if several else text))
        except ParameterError as error:
            problems += [Problem(f"{variable}: {found.detail}", found.hint) for found in error.problems]
    names = [model.folder.resolve().name if model.folder else str(model.name or model) for model in models]
    if twice := {name for name in names if names.count(name) > 1}:
        problems.append(Problem(f"{variable} names {min(twice)!r} twice", "a name stands for one model: leave one out"))
    return tuple(models), None


def _access(environ: Mapping[str, str], host: str, problems: list[Problem]) -> AccessSettings:
    try:
        return AccessSettings.from_environment(environ, host)
    except ParameterError as error:
        problems += error.problems
        return AccessSettings()


def _default_cache(environ: Mapping[str, str]) -> str:
    return str(Path(environ.get("XDG_CACHE_HOME") or "~/.cache") / "forecast")


@dataclass(frozen=True)
class _Numbers:
    """Reads variables that are numbers."""

    environ: Mapping[str, str]
    problems: list[Problem]

    def read(
        self, name: str, default: float, low: float, high: float, what: str = "in range", whole: bool = False
    ) -> float:
        text = self.environ.get(name)
        if not text:
            return default
        try:
            value = float(text) if text.isascii() else math.nan
        except ValueError:
            value = math.nan
        if not low <= value <= high or (whole and not text.isdecimal()):
            hint = f"use a {'whole ' if whole and what == 'in range' else ''}number from {low:g} to {high:g}"
            self.problems.append(Problem(f"{name}={text[:50]} is not {what}", hint))
            return default
        return value
