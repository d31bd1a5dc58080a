"""The settings of a training pipeline: one typed tree, filled from a recipe, options and `--set key=value`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, cast

import yaml
from annotated_types import Ge
from pydantic import BaseModel, Field, field_serializer

from forecast.config import Config, ForecasterConfig, nearest
from forecast.errors import ParameterError, Problem
from pipelines.data.address import without_secrets

LISTED = "`forecast settings` lists them"
Level = Literal["off", "light", "full"]


class DataConfig(Config):
    """Where the series are. A password in the address is used and never written: dumps do not hold it."""

    path: str = Field(description="a Parquet or CSV file, a folder, a glob, an fsspec address or a database")
    query: str | None = Field(None, description="what is read from a database: SQL, or a table's name")
    item_id: str | None = Field(None, description="column of the series' names")
    timestamp: str | None = Field(None, description="column of the times")
    target: str | None = Field(None, description="column of the values")
    freq: str | None = Field(None, description="pandas' alias of the frequency, by default found from the times")

    @property
    def address(self) -> str:
        """The path as it may be shown and recorded: without passwords, tokens and signatures."""
        return without_secrets(self.path)

    @field_serializer("path")
    def _without_secrets(self, path: str) -> str:
        return without_secrets(path)


class EvaluationConfig(Config):
    """How a trained model is judged."""

    windows: Annotated[int, Ge(1)] | None = Field(
        None, description="windows at each series' end kept from training to judge by, by default about 100 in all"
    )
    refit: bool = Field(
        True, description="whether the judged model is trained anew to the series' end before it is registered"
    )
    inspect: Level = Field(
        "light", description="the look inside the judged model: off, light or full, which trains a little more for it"
    )


class TrackingConfig(Config):
    """How a run is found again."""

    experiment: str | None = Field(None, description="the experiment it belongs to, by default the model's name")
    run_name: str | None = Field(None, description="its name, by default what was trained: network, horizon and seed")
    tags: dict[str, str] = Field({}, description="tags of the run, to filter by: {team: sales}")


class TrainConfig(Config):
    """A whole training run: the same settings and data give the same model."""

    name: str = Field(
        description="name of the registered model and of its experiment", pattern=r"^[A-Za-z0-9][\w.\- ]*$"
    )
    data: DataConfig
    recipe: str = Field("auto", description="name or path of the recipe the settings started from")
    forecaster: ForecasterConfig
    evaluation: EvaluationConfig = EvaluationConfig()
    tracking: TrackingConfig = TrackingConfig()


def as_tree(written: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as people write them, the forecaster's at the top, as the tree that `TrainConfig` is built from."""
    forecaster = dict(written)
    own = [name for name in TrainConfig.model_fields if name != "forecaster" and name in forecaster]
    return {**{name: forecaster.pop(name) for name in own}, "forecaster": forecaster}


def as_written(config: TrainConfig) -> str:
    """A configuration as a YAML file that `forecast train --recipe` takes."""
    tree = config.model_dump(mode="json")
    forecaster = tree.pop("forecaster")
    return yaml.safe_dump({**tree, **forecaster}, sort_keys=False, allow_unicode=True, width=120)


def apply_overrides(settings: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Put `key=value` settings into the tree; keys are paths as people write them, values YAML.

    Raises:
        ParameterError: An override is not of the form key=value, or there is no such setting.
    """
    names = setting_names()
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key:
            raise ParameterError(
                Problem(f"--set {override!r} is not key=value", "write --set network.hidden_size=64", field="set")
            )
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise ParameterError(
                Problem(f"--set {override!r}: the value cannot be read", "quote it", field="set")
            ) from None
        if key not in names:
            raise ParameterError(Problem(f"there is no setting {key!r}", nearest(key, names, LISTED), field="set"))
        put(settings, key, value)
    return settings


def put(settings: dict[str, Any], key: str, value: Any) -> None:
    """Put one setting into the tree, by its path as people write it."""
    path = key.split(".")
    if path[0] not in TrainConfig.model_fields:
        path = ["forecaster", *path]
    branch = settings
    for step in path[:-1]:
        branch = branch.setdefault(step, {})
    branch[path[-1]] = value


def setting_names() -> dict[str, str]:
    """Every setting `--set` takes, with its description."""
    names = dict(_fields(ForecasterConfig, ""))
    for part in ("data", "evaluation", "tracking"):
        annotation = TrainConfig.model_fields[part].annotation
        names.update(_fields(cast(type[BaseModel], annotation), f"{part}."))
    return names


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A tree of settings as `{"network.hidden_size": 128, ...}`."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _fields(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _fields(kind, f"{prefix}{name}.")
        else:
            default = "" if field.is_required() or field.default is None else f" ({field.default})"
            yield f"{prefix}{name}", f"{field.description}{default}"
