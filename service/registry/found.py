"""What a registry tells of a model, and what it is asked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from forecast.errors import ModelNotFound, Problem, RegistryUnavailable, without_password
from forecast.reference import ModelReference
from forecast.refusals import advice

NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # the second is MLflow's word for an unknown alias
DATA, SCORES, BASELINE = "data", "backtest/", "baseline/"


class Origin(BaseModel):
    """Where a model comes from, as its run tells."""

    model_config = ConfigDict(frozen=True)

    data: dict[str, str] = Field({}, description="What it learnt from: the table, its SHA-256, span and size.")
    metrics: dict[str, float] = Field({}, description="How well it forecast windows kept from training.")
    baseline: str | None = Field(None, description="The best of the naive forecasts on the same windows.")
    baseline_metrics: dict[str, float] = Field({}, description="How well that did.")

    @classmethod
    def of(cls, version_tags: Mapping[str, str], run_tags: Mapping[str, str], metrics: Mapping[str, float]) -> "Origin":
        """From the tags and metrics that a training run leaves."""
        return cls(
            data={name: value for name, value in run_tags.items() if name.partition(".")[0] == DATA},
            metrics=_under(SCORES, metrics),
            baseline=version_tags.get("baseline"),
            baseline_metrics=_under(BASELINE, metrics),
        )


class Found(BaseModel):
    """One version of a model, as the registry has it. Name and version are safe as names of folders.

    Attributes:
        name: The registered model's name; of a logged model that is not registered, its own.
        version: Its version; None for a logged model that is not registered.
        run_id: The run that made it.
        uri: The address that will always mean these very files.
        tags: The version's tags.
    """

    model_config = ConfigDict(frozen=True)

    name: str = Field(pattern=r"^[^./\\][^/\\]*$")
    version: str | None = Field(pattern="^[0-9]+$")
    run_id: str | None
    uri: str
    tags: dict[str, str] = {}


class Registry(Protocol):
    """A registry of models. All methods raise `RegistryUnavailable` when it does not answer."""

    def prepare(self) -> None:
        """Begin what takes long before the first question, and need not be waited for."""

    def find(self, reference: ModelReference) -> Found:
        """The version that a reference means now.

        Raises:
            ModelNotFound: There is none.
        """

    def with_alias(self, alias: str) -> list[str]:
        """The names of all registered models that have an alias."""

    def origin(self, found: Found) -> Origin:
        """What its run tells of a model; nothing where the run is gone."""

    def download(self, found: Found, folder: Path) -> Path:
        """Fetch a model's files into a folder that is there, and say where in it the forecaster's own lie.

        Raises:
            ModelDamaged: What is registered is not a forecaster of ours.
        """


def open_registry(tracking_uri: str) -> Registry:
    """The registry at an address. Nothing is asked of it yet.

    A server is asked by its REST interface. MLflow's own client opens the other stores, a database or a folder.
    Reading their tables here would save it, but they are MLflow's own, and change with its releases.
    """
    if tracking_uri.startswith(("http://", "https://")):
        from service.registry.rest import RestRegistry

        return RestRegistry(tracking_uri)
    from service.registry.apart import ApartRegistry

    return ApartRegistry(tracking_uri)


def prepared(tracking_uri: str | None) -> Registry | None:
    """The registry at an address, where there is one, about to be asked."""
    registry = open_registry(tracking_uri) if tracking_uri else None
    if registry is not None:
        registry.prepare()
    return registry


def not_found(reference: ModelReference, tracking_uri: str, reason: str) -> ModelNotFound:
    return ModelNotFound(
        Problem(
            f"there is no model {str(reference)!r} in {without_password(tracking_uri)}: {reason}",
            "register one with `forecast train`, or check FORECAST_MODEL and MLFLOW_TRACKING_URI",
        )
    )


def unavailable(tracking_uri: str, error: Exception) -> RegistryUnavailable:
    return RegistryUnavailable(
        Problem(
            f"the model registry at {tracking_uri} cannot be used: {reason_of(error)}",
            advice(str(error), tracking_uri),
        )
    )


def reason_of(error: Exception) -> str:
    """The first line of an error's message, without a password."""
    return without_password((str(error).strip() or type(error).__name__).splitlines()[0])[:200]


def _under(prefix: str, metrics: Mapping[str, float]) -> dict[str, float]:
    return {name.removeprefix(prefix): value for name, value in metrics.items() if name.startswith(prefix)}
