"""The README's commands and code work, and its answers have the shape it shows."""

import json
import os
import re
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from tests.conftest import clean_environment, free_port, run_forecast, running

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str, text: str = README) -> list[str]:
    """The fenced blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def shape(value: Any) -> Any:
    """An answer without its numbers: what a reader relies on."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__ if not isinstance(value, bool | int | float) else "number"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A working folder (with a space in its path) in which `forecast demo` was run, and what it printed."""
    folder = tmp_path_factory.mktemp("demo folder")
    done = run_forecast(folder, "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def test_make_targets_are_what_the_readme_says() -> None:
    named = set(re.findall(r"make (\w+)", README))
    assert {"demo", "test", "serve", "ui"} <= named
    for target in named:
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert "forecast demo" in subprocess.run(["make", "-n", "demo"], cwd=ROOT, capture_output=True, text=True).stdout


def test_the_demo_beats_seasonal_naive_and_shows_a_forecast(demo: tuple[Path, str]) -> None:
    folder, output = demo
    rows = re.findall(r"│ ([\w ]+?) +│ (\d\.\d+) +│ \d\.\d+ +│ [\d.]+ +│", output)
    scores = {name: float(score) for name, score in rows}
    assert {"lstm", "feedforward", "seasonal naive 24", "seasonal naive 168"} <= set(scores)
    assert min(scores["lstm"], scores["feedforward"]) < min(scores["seasonal naive 24"], scores["seasonal naive 168"])
    assert len(re.findall(r"│ \w{3} \d\d Dec \d\d:00 +│ \d+ +│ \d+ to \d+", output)) == 48
    assert "48 of them missing (null)" in output
    assert (folder / ".forecast" / "demo" / "forecast.png").stat().st_size > 10_000


@pytest.mark.slow
def test_the_demo_runs_again_while_the_usual_ports_are_taken(demo: tuple[Path, str]) -> None:
    with ExitStack() as taken:
        for port in (5000, 8000):
            listener = taken.enter_context(socket.socket())
            with suppress(OSError):  # taken by someone else is as good
                listener.bind(("127.0.0.1", port))
                listener.listen()
        done = run_forecast(demo[0], "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pedestrian/2 is registered, but the champion stays" in " ".join(done.stdout.split())


def test_the_post_gives_an_answer_of_the_shape_shown(demo: tuple[Path, str]) -> None:
    folder, _ = demo
    command = next(block for block in blocks("bash") if block.startswith("curl"))
    shown = json.loads(blocks("json")[0])
    port = free_port()
    forecast = str(Path(sys.executable).with_name("forecast"))
    serve = [forecast, "serve", "--model", "pedestrian@champion", "--port", str(port)]
    with running(serve, folder, f"http://127.0.0.1:{port}/readyz"):
        done = subprocess.run(
            ["bash", "-c", command.replace(":8000", f":{port}")], capture_output=True, text=True, check=True
        )
    answer = json.loads(done.stdout)
    assert shape(answer) == shape(shown)
    for given, expected in zip(answer["predictions"], shown["predictions"], strict=True):
        assert given["timestamps"] == expected["timestamps"]
        assert given["warnings"] == expected["warnings"]


def test_the_notebook_code_runs(tmp_path: Path) -> None:
    code = "\n".join(blocks("python")) + "\nprint(list(frame.columns), len(frame))\n"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['item_id', 'timestamp', 'mean', '0.1', '0.5', '0.9'] 192"


def test_the_commands_for_own_data_run(tmp_path: Path) -> None:
    script = next(block for block in blocks("bash") if block.startswith("forecast train"))
    train, predict, serve = script.strip().splitlines()
    [inspect] = [block.strip() for block in blocks("bash") if block.startswith("forecast inspect")]
    noisy_days(hours=1500).to_parquet(tmp_path / "MY.parquet")
    quick = " --set training.max_epochs=6 --set training.batches_per_epoch=20 --set training.batch_size=64"
    environment = clean_environment(PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for command in (train + quick, predict, inspect):
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert len(pd.read_parquet(tmp_path / "forecasts.parquet")) == 3 * 24
    assert "One forecast explained" in (tmp_path / "inside" / "report.html").read_text(encoding="utf-8")
    port = free_port()
    command = [str(Path(sys.executable).with_name("forecast")), *serve.split()[1:], "--port", str(port)]
    with running(command, tmp_path, f"http://127.0.0.1:{port}/readyz"):
        models = httpx.get(f"http://127.0.0.1:{port}/v1/models").json()
    assert "mine" in json.dumps(models)


def noisy_days(hours: int) -> pd.DataFrame:
    """Three hourly series with a daily pattern under noise: a network must beat seasonal naive on them."""
    random = np.random.default_rng(0)
    times = pd.date_range("2024-01-01", periods=hours, freq="h")
    wave = 100 + 20 * np.sin(2 * np.pi * np.arange(hours) / 24)
    series = [
        pd.DataFrame({"item_id": name, "timestamp": times, "target": wave + 10 * random.standard_normal(hours)})
        for name in "abc"
    ]
    return pd.concat(series)
