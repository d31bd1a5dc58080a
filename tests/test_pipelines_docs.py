"""The way of docs/pipelines.md, from a CSV file to a live model, can be gone as it is written."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import typer

from pipelines.cli import app
from tests.conftest import clean_environment
from tests.test_docs import ROOT, blocks, noisy_days

PAGE = (ROOT / "docs" / "pipelines.md").read_text()
BLOCKS = [line for block in blocks("bash", PAGE) for line in block.strip().splitlines()]
CRON = [line[line.index("forecast retrain") :] for block in blocks("text", PAGE) for line in block.splitlines()]
INLINE = [span for span in re.findall(r"`(forecast [^`]+)`", PAGE) if "COMMAND" not in span]
PLACEHOLDER = "forecast train --resume RUN"  # there is no run of that name


@pytest.mark.parametrize("line", [*BLOCKS, *CRON, *INLINE])
def test_every_command_of_the_page_parses(line: str) -> None:
    root = typer.main.get_command(app)
    program, name, *words = shlex.split(line)
    assert program == "forecast"
    command = root.commands[name]  # type: ignore[attr-defined]
    command.make_context(name, words)  # ends with an error where an option or argument is not one


@pytest.mark.slow
def test_the_commands_of_the_page_run_in_their_order(tmp_path: Path) -> None:
    grown = noisy_days(hours=1600)
    grown.groupby("item_id").head(1500).to_csv(tmp_path / "MY.csv", index=False)
    environment = clean_environment(PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    printed = {}
    assert PLACEHOLDER in BLOCKS
    for command in BLOCKS:
        if command == PLACEHOLDER:
            continue
        if command.startswith("forecast retrain"):
            grown.to_csv(tmp_path / "MY.csv", index=False)
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        printed[command.split(" --")[0]] = done.stdout
    assert "train it with: forecast train --recipe tuned.yaml --data MY.csv --name tuned" in printed["forecast tune"]
    assert "mine/1 is the champion" in printed["forecast rollback mine"]
    assert "nothing to do" not in printed["forecast retrain mine"]
    assert len(pd.read_parquet(tmp_path / "forecasts.parquet")) == 3 * 24
    assert any((tmp_path / "compared").iterdir())
