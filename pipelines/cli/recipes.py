"""forecast recipes, forecast settings: what there is to choose from."""

from typing import Annotated

import typer
from rich.markup import escape

from pipelines.cli.app import app, console

recipes = typer.Typer(help="List the recipes, or show one.", rich_markup_mode="markdown")
app.add_typer(recipes, name="recipes")


@recipes.callback(invoke_without_command=True)
def names(context: typer.Context) -> None:
    """List the recipes: settings known to do well on a kind of data."""
    if context.invoked_subcommand is not None:
        return
    from pipelines.recipes import RECIPES

    for known in RECIPES.names():
        console.print(f"[bold]{known}[/]  {escape(RECIPES.about(known))}", highlight=False)


@recipes.command()
def show(name: Annotated[str, typer.Argument(help="A recipe's name, or a .yaml file.")]) -> None:
    """Show a recipe as it is written."""
    from pipelines.recipes import RECIPES

    console.print(RECIPES.text(name), markup=False, highlight=False, end="")


@app.command()
def settings() -> None:
    """List every setting that `train --set` takes."""
    from pipelines.settings import setting_names

    for name, description in setting_names().items():
        console.print(f"[bold]{name}[/]  {escape(description)}", highlight=False)
