import numpy as np
import pandas as pd
import pytest
import torch

from forecast import Forecaster, NetworkConfig, SeasonalNaive, TrainingConfig, read_series
from forecast.backtest import backtest
from forecast.config import ForecasterConfig
from forecast.errors import DataError, DataWarning, ModelNotFound, ParameterError
from tests.forecast.conftest import HORIZON, QUICK

LEVELS = [0.1, 0.5, 0.9]
SMALL = NetworkConfig(kind="gru", hidden_size=16)


def hours(values, start="2024-01-01", item_id="a", **options):
    times = pd.date_range(start, periods=len(values), freq="h", **options)
    return pd.DataFrame({"item_id": item_id, "timestamp": times, "target": np.asarray(values, float)})


def wave(length, seed=0, level=100.0):
    noise = np.random.default_rng(seed).normal(size=length)
    return level + 30 * np.sin(2 * np.pi * np.arange(length) / 24) + 5 * noise


def weights_of(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.network.parameters()])


class TestTheFrame:
    def test_columns_order_and_times(self, model, table):
        frame = model.predict(table, quantile_levels=LEVELS)
        assert frame.columns.tolist() == ["item_id", "timestamp", "mean", "0.1", "0.5", "0.9"]
        assert frame["item_id"].tolist() == np.repeat(table.item_ids, HORIZON).tolist()
        assert np.isfinite(frame.iloc[:, 2:]).all(axis=None)
        assert ((frame["0.1"] <= frame["0.5"]) & (frame["0.5"] <= frame["0.9"])).all()
        first = frame[:HORIZON]["timestamp"]
        assert first.tolist() == list(pd.date_range("2017-01-01", periods=HORIZON, freq="h", tz="Australia/Melbourne"))

    def test_the_zone_sent_comes_back_over_a_clock_change(self, model):
        frame = hours(wave(200), pd.Timestamp("2024-10-06", tz="Australia/Melbourne") - pd.Timedelta(hours=200))
        answer = model.predict(frame.assign(timestamp=frame["timestamp"].dt.tz_convert("Australia/Melbourne")))
        assert str(answer["timestamp"].dt.tz) == "Australia/Melbourne"
        assert answer["timestamp"].dt.hour.tolist() == [0, 1, *range(3, 24), 0]

    def test_as_many_steps_as_asked(self, model, table):
        whole = model.predict(table, quantile_levels=LEVELS)
        short = model.predict(table, 5, LEVELS)
        expected = whole.groupby("item_id", sort=False).head(5).reset_index(drop=True)
        pd.testing.assert_frame_equal(short, expected)

    def test_without_levels_it_is_the_mean(self, model, table):
        assert model.predict(table, quantile_levels=[]).columns.tolist() == ["item_id", "timestamp", "mean"]

    def test_trained_levels_are_not_interpolated(self, model, table):
        asked = model.forecast(table, HORIZON, [0.025, 0.5])
        everything = model.forecast(table, HORIZON, model.config.quantile_levels)
        np.testing.assert_array_equal(asked[..., 1:], everything[..., 1:][..., [0, 6]])

    def test_undated_series_continue_their_steps(self, model):
        answer = model.predict(pd.Series(wave(100)))
        assert answer["timestamp"].tolist() == list(range(100, 100 + HORIZON))
        assert answer["mean"].between(0, 300).all()


class TestOneForecastIndependentOfOthers:
    def test_twice_the_same(self, model, table):
        pd.testing.assert_frame_equal(model.predict(table), model.predict(table))

    def test_the_order_of_series_does_not_matter(self, model, table):
        order = np.array([2, 0, 3, 1])
        straight, turned = model.forecast(table, HORIZON, LEVELS), model.forecast(table.select(order), HORIZON, LEVELS)
        np.testing.assert_allclose(turned, straight[order], rtol=1e-4, atol=1e-3)

    def test_nothing_before_the_context_matters(self, model, table):
        context = table.keep_last(model.context_length)
        np.testing.assert_array_equal(model.forecast(context, 5, LEVELS), model.forecast(table, 5, LEVELS))

    def test_more_series_than_fit_a_batch(self, model, table):
        many = table.select(np.arange(2100) % 4)
        forecast = model.forecast(many, 3, LEVELS)
        np.testing.assert_allclose(forecast[-4:], forecast[:4], rtol=1e-4, atol=1e-3)


class TestUnusualSeries:
    @pytest.mark.parametrize("level", [0.0, 7.0, -3.5, 1e30, 1e-30])
    def test_a_constant_goes_on(self, model, level):
        answer = model.predict(hours([level] * 200), quantile_levels=LEVELS)
        np.testing.assert_allclose(answer[["mean", "0.1", "0.5", "0.9"]], level, rtol=1e-5)

    @pytest.mark.parametrize("unit", [1e-30, 1e-3, 1e28])
    def test_any_unit_gives_the_same_forecast_in_it(self, model, unit):
        plain, other = model.predict(hours(wave(200))), model.predict(hours(wave(200) * unit))
        np.testing.assert_allclose(other["mean"] / unit, plain["mean"], rtol=1e-3)

    def test_negative_values_are_followed(self, model):
        answer = model.predict(hours(wave(200, level=-500)))
        assert answer["0.9"].max() < 0

    def test_series_without_negative_values_get_none(self, model):
        assert model.config.nonnegative
        answer = model.predict(hours(np.abs(wave(200, level=0))), quantile_levels=[0.025, 0.5])
        assert (answer[["mean", "0.025", "0.5"]] >= 0).all(axis=None)

    def test_shorter_than_the_context(self, model):
        answer = model.predict(hours(wave(30)))
        assert answer["mean"].between(0, 300).all()

    def test_too_short(self, model, table):
        frame = pd.concat([hours(wave(200)), hours([1, 2, 3], item_id="b"), hours([1], item_id="c")])
        with pytest.raises(DataError) as error:
            model.predict(frame)
        assert error.value.code == "series-too-short"
        assert str(error.value).splitlines() == [
            "'b' has 3 values; this model needs at least 24; send more history",
            "'c' has 1 value; this model needs at least 24; send more history",
        ]
        assert [problem.item_id for problem in error.value.problems] == ["b", "c"]

    def test_nothing_in_the_context(self, model):
        with pytest.warns(DataWarning), pytest.raises(DataError) as error:
            model.predict(hours([1.0, 2.0, *[np.nan] * 168]))
        assert error.value.code == "all-missing"
        assert str(error.value) == (
            "'a' has no value in its last 168 steps, all this model looks at; send the series up to its last value"
        )

    @pytest.mark.filterwarnings("ignore::forecast.errors.DataWarning")
    def test_one_value_in_the_context_will_do(self, model):
        answer = model.predict(hours([*[np.nan] * 200, 5.0]))
        np.testing.assert_allclose(answer["mean"], 5, rtol=1e-6)

    def test_another_frequency(self, model):
        frame = hours(wave(60)).assign(timestamp=pd.date_range("2024-01-01", periods=60, freq="D"))
        with pytest.raises(DataError) as error:
            model.predict(frame)
        assert error.value.code == "frequency-mismatch"
        assert (
            str(error.value)
            == "the series step by D, the model by h; resample the series, or use a model of that frequency"
        )


@pytest.mark.parametrize("horizon", [0, -1, 8 * HORIZON + 1, 10**9, 1.5, "24"])
def test_a_horizon_out_of_range(model, table, horizon):
    with pytest.raises(
        ParameterError, match=rf"prediction_length={horizon} is out of range; ask for 1 to 192 steps, or train"
    ):
        model.predict(table, horizon)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_level_out_of_range(model, table, level):
    with pytest.raises(ParameterError, match=f"quantile level {level} is not between 0 and 1"):
        model.predict(table, quantile_levels=[0.5, level])


@pytest.mark.parametrize(
    "settings",
    [
        {"network": "transformer"},
        {"prediction_length": 0},
        {"context_length": 0},
        {"quantile_levels": [0.5, 1]},
        {"seed": 1},
    ],
)
def test_a_setting_that_cannot_be_used(settings):
    with pytest.raises(ParameterError):
        Forecaster(**settings)


def test_an_untrained_forecaster_says_so(table, untrained, tmp_path):
    for use in (lambda: untrained.predict(table), lambda: untrained.save(tmp_path / "model")):
        with pytest.raises(
            ModelNotFound, match=r"this forecaster is not trained; call fit\(series\) or Forecaster.load"
        ):
            use()
    assert not (tmp_path / "model").exists()


class TestTraining:
    def test_one_seed_gives_one_set_of_weights(self, model, table, untrained):
        state = torch.get_rng_state()
        again = untrained.fit(table)
        assert torch.equal(weights_of(again), weights_of(model))
        assert torch.equal(torch.get_rng_state(), state)  # training leaves the caller's random numbers alone
        other = Forecaster(SMALL, HORIZON, 168, QUICK.model_copy(update={"seed": 1})).fit(table)
        assert not torch.equal(weights_of(other), weights_of(model))

    def test_the_history_has_an_entry_per_epoch(self, model):
        assert [entry["epoch"] for entry in model.history] == [0, 1, 2]
        assert all(np.isfinite(list(entry.values())).all() for entry in model.history)
        assert set(model.history[0]) == {"member", "epoch", "train_loss", "val_loss", "learning_rate"}
        assert model.history[-1]["val_loss"] < model.history[0]["val_loss"]

    def test_settings_left_open_are_complete_afterwards(self, model):
        config = model.config
        assert (config.frequency, config.context_length, config.minimum_history) == ("h", 168, 24)
        assert (config.network.patch_length, config.network.shortcut) == (24, (168, 24, 48))
        assert config.nonnegative is True
        assert Forecaster.from_config(config).config == config

    def test_a_frame_will_do(self):
        model = Forecaster(SMALL, 4, training=QUICK).fit(hours(wave(300)))
        assert len(model.predict(hours(wave(100)))) == 4

    def test_a_learned_pattern_beats_seasonal_naive(self):
        frame = pd.concat([hours(wave(600, seed, 100 + 10 * seed), item_id=str(seed)) for seed in range(8)])
        table = read_series(frame)
        training = TrainingConfig(batch_size=64, max_epochs=12, batches_per_epoch=25, learning_rate=1e-2)
        model = Forecaster(NetworkConfig(kind="lstm", hidden_size=32, dropout=0), 24, 96, training).fit(
            table.drop_last(48)
        )
        board = backtest(
            {"model": model, "naive": SeasonalNaive(24)}, table, prediction_length=24, windows=2
        ).leaderboard()
        assert board.index[0] == "model"
        assert board.loc["model", "mase"] < 0.95 * board.loc["naive", "mase"]
        assert board.loc["model", "wql"] < 0.95 * board.loc["naive", "wql"]
        assert 0.6 < board.loc["model", "coverage80"] < 0.95

    def test_constant_data_teach_nothing_and_harm_nothing(self):
        model = Forecaster(SMALL, 4, training=QUICK).fit(hours([5.0] * 200))
        np.testing.assert_allclose(model.predict(hours([3.0] * 50))["mean"], 3, rtol=1e-6)

    def test_undated_series_can_be_learned(self):
        model = Forecaster(SMALL, 4, training=QUICK).fit(pd.Series(wave(200)))
        assert model.config.frequency == "step"
        assert model.predict(pd.Series(wave(50)))["timestamp"].tolist() == [50, 51, 52, 53]
        assert len(model.predict(hours(wave(50)))) == 4  # and then tell nothing of the calendar

    def test_series_of_huge_and_of_tiny_values_in_one_model(self):
        frame = pd.concat([hours(wave(200) * unit, item_id=str(unit)) for unit in (1e30, 1, 1e-30)])
        answer = Forecaster(SMALL, 4, training=QUICK).fit(frame).predict(frame)
        for unit in (1e30, 1, 1e-30):
            assert (answer.loc[answer["item_id"] == str(unit), "mean"] / unit).between(30, 170).all()

    def test_no_series_is_long_enough(self, untrained):
        with pytest.raises(DataError) as error:
            untrained.fit(pd.concat([hours(wave(40)), hours(wave(60), item_id="b")]))
        assert error.value.code == "series-too-short"
        assert str(error.value) == (
            "no series is long enough to learn from: the longest, 'b', has 60 steps, 72 are needed "
            "(24 of history, 24 to forecast and 24 to validate on); send more history or forecast fewer steps"
        )
        with pytest.raises(ModelNotFound):  # a failed training leaves nothing behind
            untrained.network  # noqa: B018

    def test_a_model_of_one_frequency_is_not_trained_on_another(self, model):
        again = Forecaster.from_config(model.config)
        with pytest.raises(DataError) as error:
            again.fit(hours(wave(300)).assign(timestamp=pd.date_range("2024-01-01", periods=300, freq="D")))
        assert error.value.code == "frequency-mismatch"


def test_every_kind_of_network_is_trained(table):
    for kind in ("feedforward", "cnn", "rnn", "lstm"):
        training = TrainingConfig(batch_size=16, max_epochs=1, batches_per_epoch=2)
        model = Forecaster(NetworkConfig(kind=kind, hidden_size=8), 6, 48, training).fit(table)
        assert np.isfinite(model.predict(table)["mean"]).all()


def test_a_saved_model_answers_the_same(model, table, tmp_path):
    model.save(tmp_path / "model")
    loaded = Forecaster.load(tmp_path / "model")
    assert loaded.config == model.config
    assert isinstance(loaded.config, ForecasterConfig)
    pd.testing.assert_frame_equal(loaded.predict(table), model.predict(table))
