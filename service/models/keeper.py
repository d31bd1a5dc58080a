"""The thread that brings models in: at the start, and whenever an alias moves."""

import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

import numpy as np
import torch

from forecast import Forecaster
from forecast.errors import ModelDamaged, ModelError, ModelNotFound, Problem, RegistryUnavailable
from forecast.reference import ModelReference
from forecast.saved import golden_input, golden_table
from service.metrics import Metrics
from service.models.cache import About, Cache
from service.models.served import Models, Refusal, ServedModel, Source
from service.registry import Found, Registry, prepared
from service.settings import Settings

WARM_UP = (1, 8, 64)  # series in a pass: kernels are chosen by size

_log = logging.getLogger("service")


class Keeper(Thread):
    """Keeps the models that the settings name, in the versions that their aliases mean.

    A version takes over only when it is whole, gives its golden forecast and has run once; requests under way
    end with the one they began with. One that does not is refused, and the one before goes on answering, as it
    does while the registry is away. At the start a registry that is away is replaced by the cache of what was
    served before.

    Args:
        settings: Which models.
        models: Where they go.
        metrics: What is told of them.
        registry: Where registered ones come from.
        on_failure: Called when a model cannot be had at the start; `failure` then says why.

    Attributes:
        settled: Set once all models are there, or it is known that they cannot be had.
    """

    def __init__(
        self,
        settings: Settings,
        models: Models,
        metrics: Metrics,
        registry: Registry | None,
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(name="keeper", daemon=True)  # a registry that hangs does not keep the process
        self.failure: Exception | None = None
        self._settings, self._models, self._metrics, self._on_failure = settings, models, metrics, on_failure
        self.settled = Event()
        self._stopped = Event()
        self._registry = registry
        self._cache = Cache(settings.cache, settings.tracking_uri or "")

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def run(self) -> None:
        torch.set_num_threads(1)
        try:
            for reference in self._first_references():
                self._serve(self._first(reference))
            self._models.complete = True
            _log.info("ready: %s", ", ".join(map(str, self._models)))
        except Exception as error:
            self.failure = error
            self._on_failure()
            return
        finally:
            self.settled.set()
        while not self._stopped.wait(self._settings.poll_seconds):
            self.look()

    def look(self) -> None:
        """See once whether an alias has moved, and follow it."""
        if self._registry is None:
            return
        try:
            for reference in self._references():
                if reference.alias is not None:
                    self._follow(self._registry, reference)
            if self._models.registry_away:
                _log.info("the registry answers again")
            self._models.registry_away = None
        except RegistryUnavailable as error:
            self._metrics.reloads.labels("unreachable").inc()
            if self._models.registry_away is None:
                self._models.registry_away = datetime.now(UTC)
                _log.warning("the models stay as they are: %s", error)
        except Exception:
            self._metrics.reloads.labels("failed").inc()
            _log.exception("looking for newer models failed; the models stay as they are")

    def _follow(self, registry: Registry, reference: ModelReference) -> None:
        found = registry.find(reference)
        now = next((model for model in self._models if model.name == found.name), None)
        if now is not None and now.version == found.version:
            self._models.refused.pop(found.name, None)  # the alias was put back
            return
        refusal = self._models.refused.get(found.name)
        if refusal is not None and refusal.version == found.version:
            return
        try:
            model = self._fetch(registry, reference, found)
        except ModelError as error:
            self._models.refused[found.name] = Refusal(str(found.version), str(error))
            self._metrics.reloads.labels("refused").inc()
            _log.error("%s version %s is refused, %s goes on answering: %s", found.name, found.version, now, error)
            return
        self._serve(model)
        self._models.refused.pop(found.name, None)
        self._metrics.reloads.labels("swapped").inc()
        _log.info("%s answers from now on, in place of %s", model, now)

    def _references(self) -> Sequence[ModelReference]:
        """The models to serve; those that have the alias, where all were asked for."""
        alias = self._settings.all_with
        if alias is None:
            return self._settings.models
        names = self._registry.with_alias(alias) if self._registry else []
        return [ModelReference.parse(f"{name}@{alias}") for name in names]

    def _first_references(self) -> Sequence[ModelReference]:
        """The models to start with; of a registry that is away, those that were served by the alias before."""
        try:
            references = self._references()
        except RegistryUnavailable:
            names = self._cache.names(self._settings.all_with or "")
            if not names:
                raise
            return [ModelReference.parse(f"{name}@{self._settings.all_with}") for name in names]
        if not references:
            problem = Problem(f"no registered model has the alias {self._settings.all_with!r}", "set it on one")
            raise ModelNotFound(problem)
        return references

    def _first(self, reference: ModelReference) -> ServedModel:
        """A model at the start: from its folder, the registry, or else the cache."""
        if reference.folder or self._registry is None:
            return load(self._settings, reference)
        found = None
        try:
            found = self._registry.find(reference)
            return self._fetch(self._registry, reference, found)
        except (RegistryUnavailable, ModelDamaged) as error:
            last = self._cache.read_last(reference.name, reference.alias, reference.version) if reference.name else None
            if last is None:
                raise
            model = _ready(reference, *last, "cache")
            if isinstance(error, RegistryUnavailable):
                self._models.registry_away = datetime.now(UTC)
            elif found is not None:
                self._models.refused[model.name] = Refusal(found.version or "", str(error))
            _log.warning("%s is the last verified copy, from the cache, because %s", model, error)
            return model

    def _fetch(self, registry: Registry, reference: ModelReference, found: Found) -> ServedModel:
        """A version from the registry, by way of the cache, verified and warmed up."""
        kept = self._cache.read(found)
        if kept is None:
            origin = registry.origin(found)
            try:
                kept = self._cache.keep(found, origin, lambda folder: registry.download(found, folder))
            except OSError as error:
                _log.warning("the cache cannot be written, %s is served without: %s", found.name, error)
                with tempfile.TemporaryDirectory(prefix="forecast-model-") as folder:
                    about = About(found=found, origin=origin)
                    return _ready(reference, registry.download(found, Path(folder)), about, "registry")
        try:
            model = _ready(reference, *kept, "registry")
        except ModelError:
            self._cache.forget(found)
            raise
        try:
            self._cache.remember(found.name, reference.alias, found.version)
        except OSError as error:
            _log.warning("the cache cannot be written: %s", error)
        return model

    def _serve(self, model: ServedModel) -> None:
        before = next((one for one in self._models if one.name == model.name), None)
        self._models.add(model)
        self._metrics.model_info.labels(model.name, model.version or "", model.run_id or "").set(1)
        if before is not None:
            self._metrics.model_info.labels(before.name, before.version or "", before.run_id or "").set(0)


def load(settings: Settings, reference: ModelReference | None = None) -> ServedModel:
    """Load one model, from its folder or the registry, and check its golden forecast. Takes seconds.

    Raises:
        ModelNotFound: There is none in that place.
        ModelDamaged: Its files are not what was saved, or it answers otherwise than when saved.
        RegistryUnavailable: The registry does not answer.
    """
    reference = reference or settings.models[0]
    if reference.folder:
        model = ServedModel(reference.folder.resolve().name, Forecaster.load(reference.folder))
        _warm_up(model.forecaster)
        return model
    keeper = Keeper(replace(settings, models=(reference,)), Models(), Metrics(), prepared(settings.tracking_uri))
    return keeper._first(reference)


def _ready(reference: ModelReference, folder: Path, about: About, source: Source) -> ServedModel:
    found = about.found
    forecaster = Forecaster.load(folder)  # checks the golden forecast
    _warm_up(forecaster)
    return ServedModel(found.name, forecaster, found.version, found.run_id, reference.alias, source, about.origin)


def _warm_up(forecaster: Forecaster) -> None:
    """Compile the network, and run passes of several sizes: the first of each takes longer."""
    forecaster.compile()
    table = golden_table(golden_input(forecaster.config), forecaster.covariates)
    for series in WARM_UP:
        many = table.select(np.zeros(series, np.int64))
        forecaster.forecast(many, forecaster.prediction_length, [0.5])
