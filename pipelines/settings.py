"""The settings of a training pipeline: one typed tree, filled from a recipe, options and `--set key=value`."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any

import yaml
from annotated_types import Ge
from pydantic import BaseModel, Field

from forecast.config import Config, ForecasterConfig
from forecast.errors import ParameterError, Problem


class DataConfig(Config):
    """Where the series are."""

    path: str = Field(description="a Parquet or CSV file with a long table")
    item_id: str | None = Field(None, description="column of the series' names")
    timestamp: str | None = Field(None, description="column of the times")
    target: str | None = Field(None, description="column of the values")
    freq: str | None = Field(None, description="pandas' alias of the frequency, by default found from the times")


class EvaluationConfig(Config):
    """How a trained model is judged."""

    windows: Annotated[int, Ge(1)] | None = Field(
        None, description="windows at each series' end kept from training to judge by, by default about 100 in all"
    )
    refit: bool = Field(
        True, description="whether the judged model is trained anew to the series' end before it is registered"
    )


class TrainConfig(Config):
    """A whole training run: the same settings and data give the same model."""

    name: str = Field(
        description="name of the registered model and of its experiment", pattern=r"^[A-Za-z0-9][\w.\- ]*$"
    )
    data: DataConfig
    recipe: str = Field("auto", description="name or path of the recipe the settings started from")
    forecaster: ForecasterConfig
    evaluation: EvaluationConfig = EvaluationConfig()


def apply_overrides(settings: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Put `key=value` settings into the tree; keys are paths without "forecaster.", values YAML.

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
            close = get_close_matches(key, names, 1, 0.5)
            hint = f"did you mean {close[0]!r}?" if close else "`forecast settings` lists them"
            raise ParameterError(Problem(f"there is no setting {key!r}", hint, field="set"))
        put(settings, key, value)
    return settings


def put(settings: dict[str, Any], key: str, value: Any) -> None:
    """Put one setting into the tree, by its path without "forecaster."."""
    *path, last = key.split(".") if key.startswith("evaluation.") else ["forecaster", *key.split(".")]
    branch = settings
    for step in path:
        branch = branch.setdefault(step, {})
    branch[last] = value


def setting_names() -> dict[str, str]:
    """Every setting `--set` takes, with its description."""
    names = dict(_fields(ForecasterConfig, ""))
    names.update(_fields(EvaluationConfig, "evaluation."))
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
