import pandas as pd
import pytest

from forecast import Forecaster
from forecast.errors import DataError, ModelDamaged, ParameterError
from forecast.pyfunc import _load_pyfunc, saved_folder
from tests.forecast.test_forecaster import hours, wave
from tests.forecast.test_saved import TINY

FRAME = hours(wave(200))


@pytest.fixture(scope="module")
def function():
    return _load_pyfunc(str(TINY))


@pytest.mark.parametrize(
    "params", [None, {}, {"prediction_length": 0}, {"prediction_length": None, "quantile_levels": None}]
)
def test_without_parameters_it_forecasts_as_trained(function, params):
    pd.testing.assert_frame_equal(function.predict(FRAME, params), Forecaster.load(TINY).predict(FRAME))


def test_parameters_are_passed_on(function):
    frame = function.predict(FRAME, {"prediction_length": 3, "quantile_levels": [0.1, 0.9]})
    assert frame.columns.tolist() == ["item_id", "timestamp", "mean", "0.1", "0.9"]
    assert len(frame) == 3


def test_bad_input_gets_the_library_s_errors(function):
    with pytest.raises(ParameterError, match="prediction_length=-1"):
        function.predict(FRAME, {"prediction_length": -1})
    with pytest.raises(ParameterError, match="quantile level"):
        function.predict(FRAME, {"quantile_levels": [2]})
    with pytest.raises(DataError, match="no column 'target'"):
        function.predict(FRAME.drop(columns="target"))


def test_the_model_lies_where_mlflow_says(tmp_path):
    (tmp_path / "MLmodel").write_text(
        "flavors:\n  python_function:\n    loader_module: forecast.pyfunc\n    data: data/model\n"
    )
    assert saved_folder(tmp_path) == tmp_path / "data" / "model"


@pytest.mark.parametrize(
    "content",
    [None, "", "[", "flavors: {}", "flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n    data: x\n"],
)
def test_models_of_others_are_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "MLmodel").write_text(content)
    with pytest.raises(ModelDamaged, match="the registered model"):
        saved_folder(tmp_path)
