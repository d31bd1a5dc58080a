import os
import subprocess
import sys
from pathlib import Path

import pytest

import forecast

TINY = Path(__file__).parent.parent / "fixtures" / "tiny-lstm"


def test_public_names_exist_and_are_sorted():
    assert sorted(forecast.__all__) == forecast.__all__
    assert all(hasattr(forecast, name) for name in forecast.__all__)


@pytest.mark.parametrize(
    "code",
    [
        "import forecast",
        f"import forecast, forecast.pyfunc; forecast.Forecaster.load({str(TINY)!r})",
    ],
)
def test_forecasting_needs_neither_lightning_nor_mlflow_nor_statsforecast(code):
    check = "import sys; print(sorted({'pytorch_lightning', 'mlflow', 'fastapi', 'statsforecast'} & set(sys.modules)))"
    environment = {**os.environ, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    command = [sys.executable, "-c", f"{code}\n{check}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_client_needs_no_torch():
    check = "import sys, forecast.client; print(sorted({'torch', 'fastapi', 'mlflow'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
