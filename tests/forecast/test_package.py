import subprocess
import sys

import pytest

import forecast


def test_public_names_exist_and_are_sorted():
    assert sorted(forecast.__all__) == forecast.__all__
    assert all(hasattr(forecast, name) for name in forecast.__all__)


@pytest.mark.parametrize(
    "code",
    [
        "import forecast",
        "import forecast, forecast.pyfunc; forecast.Forecaster.load('tests/fixtures/tiny-lstm')",
    ],
)
def test_forecasting_needs_neither_lightning_nor_mlflow(code):
    check = "import sys; print(sorted({'pytorch_lightning', 'mlflow', 'fastapi'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{check}"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
