import numpy as np
import pandas as pd
import pytest

from forecast import ForecasterConfig, read_series
from forecast.auto import resolve, validation_windows
from forecast.errors import DataError
from tests.forecast.test_windows import make_table


def resolved(table, horizon=6, **settings):
    return resolve(ForecasterConfig.build(prediction_length=horizon, **settings), table)


def daily(pattern, length=200):
    values = np.resize(np.asarray(pattern, float), length)
    return pd.DataFrame({"timestamp": pd.date_range("2024-01-01", periods=length, freq="D"), "target": values})


@pytest.mark.parametrize(
    ("freq", "patch", "context"),
    [("15min", 48, 1344), ("h", 24, 336), ("D", 7, 28), ("B", 5, 20), ("W", 26, 208), ("MS", 12, 48), ("YS", 1, 12)],
)
def test_the_frequency_decides_patch_and_context(freq, patch, context):
    config = resolved(make_table([3000], freq))
    assert (config.network.patch_length, config.context_length) == (patch, context)
    assert config.frequency == freq


def test_short_series_have_a_shorter_context():
    config = resolved(make_table([60] * 5, "h"))
    assert config.context_length == 72  # 60 - 6 in whole patches


def test_what_a_configuration_says_is_kept():
    given = {
        "context_length": 96,
        "minimum_history": 5,
        "nonnegative": False,
        "network": {"shortcut": 24, "patch_length": 8},
    }
    config = resolved(make_table([500]), **given)
    assert (config.context_length, config.minimum_history, config.nonnegative) == (96, 5, False)
    assert (config.network.shortcut, config.network.patch_length) == ((24,), 8)
    assert resolve(config, make_table([300])) == config


def test_a_cnn_is_deep_enough_to_see_the_whole_context():
    table = make_table([3000], "h")
    assert resolved(table, network={"kind": "cnn"}).network.num_layers == 3  # 15 of 14 days
    assert resolved(table, network={"kind": "cnn", "patch_length": 1}).network.num_layers == 8  # 511 of 336 hours
    assert resolved(table, network={"kind": "cnn", "num_layers": 1}).network.num_layers == 1
    assert resolved(table, network={"kind": "lstm"}).network.num_layers == 1


@pytest.mark.parametrize("context", [1, 7, 50, 97])
def test_any_context_can_be_cut_into_patches(context):
    config = resolved(make_table([500]), context_length=context)
    assert context % config.network.patch_length == 0


@pytest.mark.parametrize(("pattern", "shortcut"), [(range(7), 7), ([1] * 30 + [2] * 30, 1)])
def test_the_shortcut_is_the_season_that_forecasts_best(pattern, shortcut):
    assert resolved(read_series(daily(pattern)), context_length=56).network.shortcut[0] == shortcut


def test_no_series_outweighs_the_others_by_its_size():
    weekly = [daily(np.random.default_rng(i).normal(size=7)).assign(item_id=f"small {i}") for i in range(3)]
    flat = daily(np.repeat([1e9, 2e9], 60)).assign(item_id="huge")
    assert resolved(read_series(pd.concat([*weekly, flat])), context_length=56).network.shortcut[0] == 7


def test_series_of_one_value_decide_nothing():
    frame = pd.concat([daily([5.0] * 9), daily(range(7))], keys=["a", "b"], names=["item_id", None])
    assert resolved(read_series(frame), context_length=56).network.shortcut[0] == 7


def test_forecasts_may_be_negative_where_the_data_are():
    table = make_table([200])
    assert resolved(table).nonnegative is False
    np.abs(table.values, out=table.values)
    assert resolved(table).nonnegative is True


def test_another_frequency_than_the_configuration_says():
    with pytest.raises(DataError, match="the series step by h, the model by D"):
        resolved(make_table([200], "h"), frequency="D")


@pytest.mark.parametrize(("lengths", "windows"), [([1000], 33), ([1000] * 10, 10), ([1000] * 500, 1), ([20] * 5, 1)])
def test_about_a_hundred_windows_are_validated_on(lengths, windows):
    assert validation_windows(ForecasterConfig.build(prediction_length=6), make_table(lengths)) == windows
