"""The models by name, and what is known of each."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from forecast import Forecaster
from forecast.errors import ModelNotFound, ParameterError, Problem
from service.registry import Origin

Source = Literal["folder", "registry", "cache"]


@dataclass(frozen=True)
class ServedModel:
    """A model that has been loaded and has given its golden forecast.

    Attributes:
        name: The registered name, or the folder's.
        forecaster: What answers.
        version: The registered version; None for a folder.
        run_id: The MLflow run that made it; None for a folder.
        alias: The alias by which it was asked for, where it was one.
        source: Where it was found: in a folder, in the registry, or, with that away, in the cache of verified ones.
        origin: What its run tells of it.
        loaded_at: When it began to answer.
    """

    name: str
    forecaster: Forecaster
    version: str | None = None
    run_id: str | None = None
    alias: str | None = None
    source: Source = "folder"
    origin: Origin = field(default_factory=Origin)
    loaded_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __str__(self) -> str:
        return f"{self.name} version {self.version}" if self.version else self.name


@dataclass(frozen=True)
class Refusal:
    """A newer version that is not served, and why."""

    version: str
    reason: str
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


class Models:
    """The models by name.

    Args:
        models: All, where they are there from the start; otherwise a `Keeper` brings them in.

    Attributes:
        complete: Whether all that were asked for are there.
        draining: Whether the process was told to stop.
        refused: By name, the newer version that is not served.
        registry_away: Since when the registry has not answered; None where it does, or is not needed.
    """

    def __init__(self, *models: ServedModel) -> None:
        self._by_name: dict[str, ServedModel] = {model.name: model for model in models}
        self.complete = bool(models)
        self.draining = False
        self.refused: dict[str, Refusal] = {}
        self.registry_away: datetime | None = None

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def add(self, model: ServedModel) -> None:
        """Answer with this model from now on, in place of an older one of its name."""
        self._by_name = {**self._by_name, model.name: model}  # those who look through it see the old or the new

    def get(self, name: str | None = None) -> ServedModel:
        """The model of a name, or the only one.

        Raises:
            ModelNotFound: There is none under that name.
            ParameterError: There are several, and no name.
        """
        there = ", ".join(self._by_name)
        if name is None:
            if len(self._by_name) > 1:
                problem = Problem(f"no model is named, and there are several: {there}", "name one", field="model")
                raise ParameterError(problem)
            return next(iter(self._by_name.values()))
        if name not in self._by_name:
            raise ModelNotFound(
                Problem(f"there is no model {name[:100]!r} here; there is {there}", "name one of those", field="model")
            )
        return self._by_name[name]
