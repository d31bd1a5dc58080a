"""Recipes: settings that are known to do well on a kind of data. They hold no weights and know no data."""

from importlib.resources import files
from typing import Any

from forecast.config import nearest
from pipelines.settings import LISTED, as_tree, setting_names
from pipelines.shelf import Shelf

RECIPES = Shelf("recipe", files("pipelines.recipes"))


def load_recipe(name: str) -> dict[str, Any]:
    """The settings of a recipe, as the tree that `TrainConfig` is built from.

    A recipe is written as `forecast settings` names things. One may be a whole configuration, with `name` and
    `data`: the `config.yaml` of a run repeats that run.

    Args:
        name: One that comes with the project, or a YAML file.

    Raises:
        ParameterError: There is no such recipe, or it is not a mapping of settings there are.
    """
    written = RECIPES.settings(name, "write key: value", empty=True)
    names = setting_names()
    known = {key.partition(".")[0] for key in names} | {"name", "recipe"}
    for key in written:
        if key not in known:
            detail = f"the recipe {name!r}: there is no setting {key!r}"
            raise RECIPES.refusal(detail, nearest(str(key), names, LISTED))
    return as_tree(written)
