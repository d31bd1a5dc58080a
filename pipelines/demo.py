"""The whole way on bundled real data: two models trained, the better one live, a forecast over HTTP."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from forecast import ForecasterConfig, NetworkConfig, datasets, read_series
from forecast.command import module_command
from forecast.errors import ForecastError, Problem
from forecast.table import SeriesTable
from pipelines.evaluation import METRIC, THIS, Scores, as_table
from pipelines.promote import publish
from pipelines.settings import DataConfig, EvaluationConfig, TrainConfig
from pipelines.tracking import embedded_folder, tracking_uri
from pipelines.train import TrainedRun, train

NAME = "pedestrian"
PREDICTION_LENGTH = 48
ITEM = "Birrarung Marr"
ORIGIN = 21 * 24  # hours before the data end: among the windows kept from training, after a long outage
HISTORY = 14 * 24
SECONDS_TO_START = 60


class DemoError(ForecastError):
    """A step of the demo failed."""

    code = "demo-failed"


def run(console: Console) -> None:
    """Train, track, register, serve, POST, and show what came back; stops what it started.

    Raises:
        ForecastError: A step failed; says which.
    """
    started = time.monotonic()
    path = Path(datasets.__file__).with_name("pedestrian.parquet")
    console.rule("1. Read real data")
    frame = datasets.load_pedestrian()
    table = read_series(frame)
    console.print(f"hourly pedestrian counts at {len(table)} places in Melbourne, {int(table.observed.sum())} values")

    console.rule("2. Train two networks, each a tracked run")
    runs = {kind: train(_config(kind, path), table, console) for kind in ("feedforward", "lstm")}

    console.rule("3. Compare them on weeks they never saw, register the better one")
    better = min(runs, key=lambda kind: runs[kind].leaderboard[THIS][METRIC])
    console.print(as_table(_side_by_side(runs)))
    outcome = publish(NAME, runs[better], console)
    state = "is the champion now" if outcome.promoted else "is registered, but the champion stays"
    console.print(f"{better}: {NAME}/{outcome.version} {state}, because {outcome.reason}")

    console.rule("4. Serve the champion and POST a series")
    history, actual = _history(table)
    with _service(console) as url:
        request = _request(history)
        gaps = sum(value is None for value in request["inputs"][0]["target"])
        console.print(f"POST {url}/v1/forecast: {ITEM}, {HISTORY} hours of history, {gaps} of them missing (null)")
        response = httpx.post(f"{url}/v1/forecast", json=request, timeout=30)
        if response.status_code != 200:
            raise DemoError(Problem(f"the service answered {response.status_code}: {response.text[:500]}"))
        answer = response.json()
    prediction, model = answer["predictions"][0], answer["model"]
    console.print(
        _forecast_table(prediction, actual, f"{ITEM}, forecast by {model['name']} version {model['version']}")
    )
    picture = embedded_folder() / "demo" / "forecast.png"
    draw(history, actual, prediction, picture)

    console.rule("Done")
    console.print(f"in {time.monotonic() - started:.0f} s. The picture: {picture}")
    console.print("Next:")
    console.print("  make serve   answer forecasts with this model on port 8000")
    console.print("  make ui      browse the two runs on port 5000")
    console.print("  forecast train --data MY.parquet --prediction-length 24 --name mine   your own series")


def _config(kind: str, path: Path) -> TrainConfig:
    return TrainConfig(
        name=NAME,
        data=DataConfig(path=path.name),
        forecaster=ForecasterConfig(prediction_length=PREDICTION_LENGTH, network=NetworkConfig.build(kind=kind)),
        # The forecast it shows is one of those weeks: a model that was trained on them would know them.
        evaluation=EvaluationConfig(refit=False),
    )


def _side_by_side(runs: dict[str, TrainedRun]) -> Scores:
    """One leaderboard of all runs; the baselines are the same in each."""
    boards = [{kind if name == THIS else name: m for name, m in run.leaderboard.items()} for kind, run in runs.items()]
    together = {name: metrics for board in boards for name, metrics in board.items()}
    return dict(sorted(together.items(), key=lambda item: item[1][METRIC]))


def _history(table: SeriesTable) -> tuple[pd.Series, pd.Series]:
    """Two weeks of one place on its hourly grid (NaN where missing), and what came after them."""
    one = table.select(table.item_ids == ITEM)
    values, observed = one.tail(ORIGIN + HISTORY)
    times = one.timestamps(one.times(one.lengths[:, None] + np.arange(-ORIGIN - HISTORY, 0)))
    series = pd.Series(np.where(observed[0], values[0], np.nan), index=times)
    return series.iloc[:HISTORY], series.iloc[HISTORY : HISTORY + PREDICTION_LENGTH]


def _request(history: pd.Series) -> dict[str, Any]:
    start: pd.Timestamp = history.index[0]
    target = [None if np.isnan(value) else float(value) for value in history]
    return {
        "inputs": [{"item_id": ITEM, "start": start.isoformat(), "target": target}],
        "parameters": {"model": NAME, "prediction_length": PREDICTION_LENGTH, "freq": "h"},
    }


@contextmanager
def _service(console: Console) -> Iterator[str]:
    """The service on a free port, ready; stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "FORECAST_MODEL": f"{NAME}@champion",
        "FORECAST_HOST": "127.0.0.1",
        "FORECAST_PORT": str(port),
        "MLFLOW_TRACKING_URI": tracking_uri(),
    }
    log = embedded_folder() / "demo" / "service.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{port}"
    with log.open("w") as output:
        process = subprocess.Popen(
            module_command("service"),
            env={**os.environ, **settings},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_until_ready(process, url, log, console)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_ready(process: "subprocess.Popen[bytes]", url: str, log: Path, console: Console) -> None:
    console.print(f"starting the service at {url}")
    began = time.monotonic()
    told = began
    while time.monotonic() - began < SECONDS_TO_START:
        if process.poll() is not None:
            raise DemoError(Problem(f"the service did not start: {log.read_text().strip()[-500:]}"))
        try:
            if httpx.get(f"{url}/readyz", timeout=2).status_code == 200:
                console.print(f"ready after {time.monotonic() - began:.1f} s")
                return
        except httpx.TransportError:
            pass
        if time.monotonic() - told > 3:
            told = time.monotonic()
            console.print("loading the model")
        time.sleep(0.1)
    raise DemoError(Problem(f"the service was not ready within {SECONDS_TO_START} s", f"see {log}"))


def _forecast_table(prediction: dict[str, Any], actual: pd.Series, title: str) -> Table:
    table = Table("time", "forecast", "80 % interval", "what came", title=title)
    quantiles = prediction["quantiles"]
    rows = zip(prediction["timestamps"], quantiles["0.5"], quantiles["0.1"], quantiles["0.9"], actual, strict=True)
    for stamp, median, low, high, came in rows:
        shown = "missing" if np.isnan(came) else f"{came:.0f}"
        table.add_row(
            f"{datetime.fromisoformat(stamp):%a %d %b %H:%M}", f"{median:.0f}", f"{low:.0f} to {high:.0f}", shown
        )
    return table


def draw(history: pd.Series, actual: pd.Series, prediction: dict[str, Any], path: Path) -> None:
    """A picture of the history's last days, the forecast with its intervals, and what came.

    Args:
        history: Values by local time, NaN where missing.
        actual: The same for the forecast's times.
        prediction: One entry of the service's answer, with the quantiles 0.1 to 0.9.
        path: The PNG file to write.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.dates as mdates
    import matplotlib.pyplot as plt

    recent = history.iloc[-7 * 24 :]
    zone = recent.index.tz  # type: ignore[attr-defined]
    times = actual.index
    quantiles = {level: np.asarray(values) for level, values in prediction["quantiles"].items()}
    figure, axes = plt.subplots(figsize=(11, 4.2), layout="constrained")
    axes.plot(recent.index, recent, color="#444444", lw=1.2, label="history")
    axes.plot(times, actual, color="#444444", lw=1.2, ls=":", label="what came")
    for low, high, alpha in (("0.1", "0.9", 0.2), ("0.3", "0.7", 0.3)):
        label = f"{round(100 * (float(high) - float(low)))} % interval"
        axes.fill_between(times, quantiles[low], quantiles[high], color="#0072B2", alpha=alpha, lw=0, label=label)
    axes.plot(times, quantiles["0.5"], color="#0072B2", lw=1.8, label="forecast (median)")
    axes.axvline(times[0], color="#999999", lw=0.8)
    axes.set(title=f"{prediction['item_id']}: the next {len(times)} hours", ylabel="pedestrians per hour")
    axes.xaxis.set_major_locator(mdates.DayLocator(tz=zone))  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(mdates.DateFormatter("%a %d %b", tz=zone))  # type: ignore[no-untyped-call]
    axes.set_ylim(bottom=0)
    axes.margins(x=0.01)
    axes.grid(axis="y", color="#eeeeee")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=5, loc="upper left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
