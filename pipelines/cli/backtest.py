"""forecast backtest: models, a recipe and baselines on the same windows."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from forecast.errors import ParameterError, Problem
from pipelines.cli.app import app, console
from pipelines.cli.options import Data, Freq, ItemId, Overrides, Query, Target, Timestamp, gather, read


@app.command()
def backtest(
    data: Data,
    output: Annotated[Path, typer.Option(help="The folder to write: report, leaderboard, errors, forecasts.")],
    model: Annotated[
        list[str] | None, typer.Option(help="NAME@champion, NAME/3, models:/... or a folder; as often as needed.")
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="A recipe to train on what lies before the windows.")] = None,
    network: Annotated[str | None, typer.Option(help="One network in place of the recipe's ensemble.")] = None,
    windows: Annotated[int, typer.Option(help="Windows at each series' end.", min=1)] = 4,
    step: Annotated[
        int | None, typer.Option(help="Steps from one window to the next; a whole horizon by default.")
    ] = None,
    refit: Annotated[bool, typer.Option("--refit", help="Train the recipe anew before every window.")] = False,
    prediction_length: Annotated[
        int | None, typer.Option(help="Steps to forecast; the models' own by default.")
    ] = None,
    baselines: Annotated[
        str, typer.Option(help="naive, seasonal_naive, auto_ets, auto_theta, by commas.")
    ] = "naive,seasonal_naive",
    name: Annotated[str | None, typer.Option(help="The experiment; by default the first registered model's.")] = None,
    query: Query = None,
    item_id: ItemId = None,
    timestamp: Timestamp = None,
    target: Target = None,
    freq: Freq = None,
    overrides: Overrides = None,
) -> None:
    """Judge models, a recipe and baselines on the same windows of every series."""
    if recipe is None and (network or refit or overrides):
        raise ParameterError(Problem("--network, --set and --refit are for a --recipe", "name one: --recipe auto"))
    from pipelines import backtest as pipeline
    from pipelines.backtest_report import Windows
    from pipelines.folder import check_output
    from pipelines.settings import DataConfig, TrainConfig

    check_output(output)
    names = pipeline.read_baselines(baselines)
    models = pipeline.load_models(model or [])
    horizon = prediction_length or min((one.forecaster.prediction_length for one in models.values()), default=None)
    columns = {"path": data, "query": query, "item_id": item_id, "timestamp": timestamp, "target": target, "freq": freq}
    source = DataConfig.build(**columns)
    recipes = {}
    if recipe is not None:
        options = {"prediction_length": horizon, "name": name or "backtest", "data.path": data}
        config = TrainConfig.build(**gather(recipe, network, options, overrides)).forecaster
        recipes[f"recipe {recipe} ({config.label})"] = config
        horizon = config.prediction_length
    if horizon is None:
        raise ParameterError(Problem("--prediction-length is missing", "say how many steps to forecast"))
    configs = [*(one.forecaster.config for one in models.values()), *recipes.values()]
    table = read(source, pipeline.covariates_of(configs))
    experiment = name or next((one.name for one in models.values() if one.name), None) or "backtest"
    judgement = pipeline.judge(
        experiment,
        models,
        recipes,
        pipeline.build_baselines(names, table, horizon),
        table,
        Windows(horizon, windows, step or horizon, refit),
        source.address,
        output,
        console,
    )
    from pipelines.evaluation import as_table

    console.print(as_table(judgement.leaderboard))
    for note in judgement.notes:
        console.print(f"[yellow]note:[/] {escape(note)}", highlight=False)
    console.print(f"report and tables in {escape(str(output))}; run {judgement.run_id}, look at it with: forecast ui")
