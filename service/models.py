"""The models a process answers with, and how they come in."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Thread

from forecast import Forecaster
from forecast.errors import ModelNotFound, Problem
from service.registry import fetch
from service.settings import Settings

_log = logging.getLogger("service")


@dataclass(frozen=True)
class ServedModel:
    """A model that has been loaded and has given its golden forecast.

    Attributes:
        name: The registered name, or the folder's.
        forecaster: What answers.
        version: The registered version; None for a folder.
        run_id: The MLflow run that made it; None for a folder.
        alias: The alias by which it was asked for, where it was one.
    """

    name: str
    forecaster: Forecaster
    version: str | None = None
    run_id: str | None = None
    alias: str | None = None

    def __str__(self) -> str:
        return f"{self.name} version {self.version}" if self.version else self.name


class Models:
    """The models by name. Empty until the first is ready."""

    def __init__(self) -> None:
        self._by_name: dict[str, ServedModel] = {}

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def add(self, model: ServedModel) -> None:
        """Answer with this model from now on, in place of an older one of its name."""
        self._by_name[model.name] = model

    def get(self, name: str | None = None) -> ServedModel:
        """The model of a name, or the only one.

        Raises:
            ModelNotFound: There is none under that name.
        """
        if name is None:
            return next(iter(self._by_name.values()))
        if name not in self._by_name:
            there = ", ".join(self._by_name)
            raise ModelNotFound(
                Problem(f"there is no model {name[:100]!r} here; there is {there}", "name one of those", field="model")
            )
        return self._by_name[name]


def load(settings: Settings) -> ServedModel:
    """Fetch the model, read it and check its golden forecast. Takes seconds.

    Raises:
        ModelNotFound: There is none in that place.
        ModelDamaged: Its files are not what was saved, or it answers otherwise than when saved.
        RegistryUnavailable: The registry does not answer.
    """
    reference = settings.model
    if reference.folder:
        return ServedModel(reference.folder.resolve().name, Forecaster.load(reference.folder))
    with fetch(reference, settings.tracking_uri or "") as download:
        return ServedModel(
            download.name, Forecaster.load(download.folder), download.version, download.run_id, reference.alias
        )


class Loader(Thread):
    """Loads the model while the server already says that it lives.

    Args:
        settings: Which model.
        models: Where it goes once it is ready.
        on_failure: Called when it cannot be loaded; `failure` then says why.
    """

    def __init__(self, settings: Settings, models: Models, on_failure: Callable[[], None]) -> None:
        super().__init__(name="loader")
        self.failure: Exception | None = None
        self._settings, self._models, self._on_failure = settings, models, on_failure

    def run(self) -> None:
        try:
            model = load(self._settings)
            self._models.add(model)
            _log.info("ready: %s", model)
        except Exception as error:
            self.failure = error
            self._on_failure()
