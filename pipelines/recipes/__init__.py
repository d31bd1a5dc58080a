"""Recipes: settings that are known to do well on a kind of data. They hold no weights and know no data."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from forecast.config import nearest
from forecast.errors import ParameterError, Problem
from pipelines.settings import LISTED, as_tree, setting_names

FOLDER = files("pipelines.recipes")


def recipe_names() -> list[str]:
    """The recipes that come with the project."""
    return sorted(path.name.removesuffix(".yaml") for path in FOLDER.iterdir() if path.name.endswith(".yaml"))


def recipe_text(name: str) -> str:
    """A recipe as it was written: one that comes with the project, or a YAML file.

    Raises:
        ParameterError: There is none.
    """
    if Path(name).suffix in (".yaml", ".yml"):
        try:
            return Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ParameterError(Problem(f"the recipe {name!r} cannot be read: {error}", field="recipe")) from None
    if name not in recipe_names():
        known = ", ".join(recipe_names())
        raise ParameterError(
            Problem(f"there is no recipe {name!r}", f"take one of {known}, or name a .yaml file", field="recipe")
        )
    return (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")


def load_recipe(name: str) -> dict[str, Any]:
    """The settings of a recipe, as the tree that `TrainConfig` is built from.

    A recipe is written as `forecast settings` names things. One may be a whole configuration, with `name` and
    `data`: the `config.yaml` of a run repeats that run.

    Raises:
        ParameterError: There is no such recipe, or it is not a mapping of settings there are.
    """
    try:
        written = yaml.safe_load(recipe_text(name))
    except yaml.YAMLError as error:
        reason = str(error).replace("\n", " ")[:200]
        raise ParameterError(Problem(f"the recipe {name!r} is not YAML: {reason}", field="recipe")) from None
    if not isinstance(written, dict):
        raise ParameterError(Problem(f"the recipe {name!r} holds no settings", "write key: value", field="recipe"))
    names = setting_names()
    known = {key.partition(".")[0] for key in names} | {"name", "recipe"}
    for key in written:
        if key not in known:
            detail = f"the recipe {name!r}: there is no setting {key!r}"
            raise ParameterError(Problem(detail, nearest(str(key), names, LISTED), field="recipe"))
    return as_tree(written)
