"""The service's settings, from environment variables alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from forecast.errors import ParameterError, Problem
from forecast.reference import ModelReference
from service.access import AccessSettings


@dataclass(frozen=True)
class Settings:
    """How to start.

    Attributes:
        model: FORECAST_MODEL, the model to serve: NAME@champion, NAME/3, models:/... or a folder.
        host: FORECAST_HOST, the address to listen on.
        port: FORECAST_PORT, the port to listen on.
        tracking_uri: MLFLOW_TRACKING_URI, where models are registered; not needed for a folder.
        access: Who may ask, and how often.
    """

    model: ModelReference
    host: str = "127.0.0.1"
    port: int = 8000
    tracking_uri: str | None = None
    access: AccessSettings = field(default_factory=AccessSettings)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings; a variable that is empty counts as not set.

        Raises:
            ParameterError: Names every variable that is missing or cannot be used.
        """
        problems = []
        model = None
        text = environ.get("FORECAST_MODEL")
        if not text:
            problems.append(
                Problem(
                    "FORECAST_MODEL is not set",
                    "name the model to serve: NAME@champion, NAME/3, models:/... or a folder",
                )
            )
        else:
            try:
                model = ModelReference.parse(text)
            except ParameterError as error:
                problems += [Problem(f"FORECAST_MODEL: {one.detail}", one.hint) for one in error.problems]
        tracking_uri = environ.get("MLFLOW_TRACKING_URI") or None
        if model and not model.folder and not tracking_uri:
            problems.append(
                Problem(
                    f"MLFLOW_TRACKING_URI is not set, and FORECAST_MODEL={text} is not a folder",
                    "say where models are registered, for example MLFLOW_TRACKING_URI=http://127.0.0.1:5000",
                )
            )
        port = environ.get("FORECAST_PORT") or str(cls.port)
        if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 1 <= int(port) <= 65535):
            problems.append(Problem(f"FORECAST_PORT={port[:50]} is not a port", "use a number from 1 to 65535"))
        host = environ.get("FORECAST_HOST") or cls.host
        access = AccessSettings()
        try:
            access = AccessSettings.from_environment(environ, host)
        except ParameterError as error:
            problems += error.problems
        if problems or model is None:
            raise ParameterError(problems)
        return cls(model, host, int(port), tracking_uri, access)
