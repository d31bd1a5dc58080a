"""A run in words: the description that MLflow shows above everything else."""

from collections.abc import Sequence

from forecast.backtest import Backtest
from forecast.table import SeriesTable
from pipelines.evaluation import METRIC, THIS, Scores, as_markdown, best_baseline
from pipelines.inspection import HEALTHY, REPORT
from pipelines.pictures import Picture
from pipelines.pictures.units import duration, step_name
from pipelines.record.files import INSPECTION, PICTURES
from pipelines.record.origin import time_span
from pipelines.settings import TrainConfig

NOTE = "mlflow.note.content"


def training_note(
    config: TrainConfig,
    leaderboard: Scores,
    result: Backtest,
    pictures: Sequence[Picture],
    findings: Sequence[str] | None = None,
) -> str:
    """A training in Markdown: what, how good, on which data, and what to look at next.

    Args:
        config: The settings, complete.
        leaderboard: Everyone's metrics, the best first.
        result: The forecasts that the model was judged by.
        pictures: What the run's page of pictures shows.
        findings: What is wrong inside the network, a sentence or two each; None where nobody looked.
    """
    steps, frequency = config.forecaster.prediction_length, result.table.frequency
    ahead = f"{steps} {'step' if steps == 1 else 'steps'} ahead"
    ahead += "" if frequency.kind == "step" else f" ({duration(frequency, steps)})"
    parts = [
        f"**{config.forecaster.label}** forecasts **{config.name}** {ahead}. {verdict(leaderboard, len(result.series))}"
    ]
    if findings is not None:
        views = (
            f"`{INSPECTION}/{REPORT}` among the artifacts shows gradients, gates, states and what a forecast rests on."
        )
        parts += ["### Inside the network", bullets(findings or [HEALTHY]), views]
    parts += ["### How good", spaced(leaderboard)]
    parts += ["MASE 1 is as good as a seasonal naive forecast was within the history; less is better."]
    parts += ["### Data", data_in_words(config.data.address, result.table)]
    if config.evaluation.refit:
        parts[-1] += (
            " The model was judged without having seen the windows; the one logged here was then trained anew to the "
            "end of the series."
        )
    parts += ["### What to look at next", pictures_in_words(pictures), commands(config)]
    return "\n\n".join(parts) + "\n"


def verdict(leaderboard: Scores, windows: int) -> str:
    """How the model compares with the best naive forecast, as two sentences."""
    naive = best_baseline(leaderboard)
    mine, theirs = leaderboard[THIS][METRIC], leaderboard[naive][METRIC]
    compared = f"MASE {mine:.3f} against {theirs:.3f} over {windows:,} windows kept from training"
    if not mine < theirs:
        return f"It is **not better** than the best naive forecast, {naive}: {compared}."
    return f"It is **better** than the best naive forecast, {naive}, by {1 - mine / theirs:.0%}: {compared}."


def spaced(leaderboard: Scores) -> str:
    """A leaderboard for MLflow's pages, which draw tables without any space between columns."""
    return as_markdown(leaderboard).replace(" | ", " &emsp;| ").replace("--- &emsp;", "---")


def data_in_words(address: str, table: SeriesTable) -> str:
    """Series, span and frequency, as a sentence."""
    start, end = time_span(table)
    steps, missing = int(table.lengths.sum()), int(table.missing().sum())
    series = "one series" if len(table) == 1 else f"{len(table):,} series"
    gaps = f", {missing:,} of them missing" if missing else ", none missing"
    return (
        f"{series} of `{address}`, from {start} to {end}, a value every "
        f"{step_name(table.frequency).removeprefix('step of ')} (`{table.frequency.alias}`): {steps:,} steps{gaps}."
    )


def pictures_in_words(pictures: Sequence[Picture], path: str = PICTURES) -> str:
    """What the pictures show, and where they are."""
    return f"`{path}` among the artifacts shows:\n\n{bullets([picture.title for picture in pictures])}"


def commands(config: TrainConfig) -> str:
    """What to type next."""
    data, name = config.data.address, config.name
    lines = {
        "judge it again, next to more baselines": f'forecast backtest --model "{name}@champion" --data "{data}" '
        "--windows 4 --output backtest",
        "who was live, when and why": f'forecast promote "{name}" --history',
        "repeat this run to the same weights": "forecast train --recipe config.yaml",
    }
    return "Commands:\n\n" + bullets([f"{what}: `{command}`" for what, command in lines.items()])


def bullets(sentences: Sequence[str]) -> str:
    """Sentences as a Markdown list."""
    return "\n".join(f"- {sentence}" for sentence in sentences)
