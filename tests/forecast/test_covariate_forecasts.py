"""Covariates end to end: what they bring, and what a model with them asks for."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from forecast import CovariatesConfig, Forecaster, NetworkConfig, SeasonalNaive, TrainingConfig, read_series
from forecast.backtest import backtest
from forecast.calendar import feature_names
from forecast.errors import DataError, ModelDamaged, ParameterError
from forecast.module import ForecastModule
from forecast.pyfunc import ForecastFunction
from forecast.windows import Windows

HORIZON, DAYS = 24, 20
COVARIATES = CovariatesConfig(known=("price", "event"), past=("visits",), static=("region",))
END = pd.Timestamp("2024-01-01") + pd.Timedelta(days=DAYS - 2)
TRAINING = TrainingConfig(batch_size=64, max_epochs=8, batches_per_epoch=25)


def shops(number=6, seed=0):
    """Hourly sales that fall with the price, double at a fair, and are on another scale in the south."""
    random = np.random.default_rng(seed)
    frames = []
    for shop in range(number):
        hours = DAYS * 24
        price = random.normal(10, 2, hours)
        fair = random.random(hours) < 0.3
        day = 10 * np.sin(2 * np.pi * np.arange(hours) / 24)
        frames.append(
            pd.DataFrame(
                {
                    "item_id": f"shop {shop}",
                    "timestamp": pd.date_range("2024-01-01", periods=hours, freq="h"),
                    "target": 80 + day - 4 * (price - 10) + 25 * fair + random.normal(size=hours),
                    "price": price,
                    "event": np.where(fair, "fair", None),
                    "visits": random.normal(size=hours),
                    "region": "south" if shop % 2 else "north",
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


FRAME = shops()
PAST, FUTURE = FRAME[FRAME.timestamp < END], FRAME[FRAME.timestamp >= END][["item_id", "timestamp", "price", "event"]]


def forecaster(covariates=COVARIATES, **settings):
    network = NetworkConfig(kind="feedforward", hidden_size=64, dropout=0)
    return Forecaster(network, HORIZON, 48, TRAINING, covariates=covariates, **settings)


@pytest.fixture(scope="module")
def model():
    return forecaster().fit(PAST)


@pytest.fixture(scope="module")
def blind():
    return forecaster(CovariatesConfig()).fit(PAST)


def error_of(forecast, frame=FRAME):
    both = forecast.merge(frame, on=["item_id", "timestamp"])
    assert len(both) == len(forecast)
    return (both["0.5"] - both["target"]).abs().mean()


class TestWhatTheyBring:
    def test_a_target_that_depends_on_them_is_forecast_much_better(self, model, blind):
        assert error_of(model.predict(PAST, future=FUTURE)) < 0.5 * error_of(blind.predict(PAST))

    def test_series_never_seen_are_forecast_as_well(self, model, blind):
        others = shops(seed=1).replace({"item_id": {"shop 0": "new"}})
        past, future = others[others.timestamp < END], others[others.timestamp >= END]
        assert error_of(model.predict(past, future=future), others) < 0.5 * error_of(blind.predict(past), others)

    def test_a_higher_price_means_less(self, model):
        cheap = model.predict(PAST, future=FUTURE.assign(price=8, event=None))
        dear = model.predict(PAST, future=FUTURE.assign(price=12, event=None))
        assert (dear["0.5"] - cheap["0.5"]).mean() == pytest.approx(-16, abs=5)

    def test_a_fair_means_more_and_an_event_nobody_knows_means_nothing(self, model):
        third = FUTURE["timestamp"] == END + pd.Timedelta("3h")
        none, fair, unknown = (
            model.predict(PAST, future=FUTURE.assign(event=FUTURE["event"].where(~third, event)))["0.5"]
            for event in (None, "fair", "moon landing")
        )
        change = (fair - none).to_numpy().reshape(6, HORIZON).mean(0)
        assert change[3] == pytest.approx(25, abs=8)
        assert np.abs(np.delete(change, 3)).max() < 4
        pd.testing.assert_series_equal(unknown, none)

    def test_a_backtest_knows_of_each_window_what_was_known_in_advance(self, model, blind):
        table = read_series(FRAME, covariates=COVARIATES)
        everyone = {"with": model, "without": blind, "naive": SeasonalNaive(24)}
        result = backtest(everyone, table, prediction_length=HORIZON, windows=2)
        board = result.leaderboard()
        assert board.index[0] == "with"
        assert board["mase"]["with"] < 0.5 * board["mase"]["without"]
        last = result.forecasts["with"][-6:, :, 5]
        following = FRAME[FRAME.timestamp >= END + pd.Timedelta(hours=24)]
        history = FRAME[FRAME.timestamp < END + pd.Timedelta(hours=24)]
        alone = model.predict(history, future=following)
        np.testing.assert_allclose(last.ravel(), alone["0.5"], rtol=1e-4)

    def test_what_a_static_covariate_says_is_used(self):
        """Series that are alike but for the region, and go on as their region does."""
        random = np.random.default_rng(0)
        frames = [
            pd.DataFrame(
                {
                    "item_id": str(k),
                    "target": random.normal(size=120).cumsum() + (1 if k % 2 else -1) * np.arange(120),
                    "timestamp": range(120),
                    "region": "up" if k % 2 else "down",
                }
            )
            for k in range(20)
        ]
        config = CovariatesConfig(static=("region",))
        network = NetworkConfig(kind="feedforward", hidden_size=32, shortcut=1, dropout=0)
        model = Forecaster(network, 12, 4, TRAINING, covariates=config).fit(pd.concat(frames))
        flat = pd.DataFrame({"timestamp": range(8), "target": random.normal(size=8)})
        up, down = (model.predict(flat.assign(region=region))["0.5"].iloc[-1] for region in ("up", "down"))
        assert up > down + 3

    def test_horizons_beyond_the_trained_one_go_on_knowing(self, model, blind):
        with warnings.catch_warnings(action="ignore"):
            longer = model.predict(PAST, 2 * HORIZON, future=FUTURE)
            other = blind.predict(PAST, 2 * HORIZON)
        later = longer["timestamp"] >= END + pd.Timedelta(hours=24)
        assert error_of(longer[later]) < 0.6 * error_of(other[later])


class TestTraining:
    def test_scales_and_categories_are_part_of_the_settings(self, model):
        assert model.config.covariates.scales["price"] == pytest.approx((10, 2), rel=0.05)
        assert model.config.covariates.categories == {"event": ("fair",), "region": ("north", "south")}

    def test_a_refit_reads_the_same_columns(self, model):
        again = model.refit(FRAME)
        assert again.config.covariates == model.config.covariates

    def test_every_member_of_an_ensemble_reads_them(self):
        members = [{"network": {"kind": "gru", "hidden_size": 8}}, {"context_length": 24}]
        both = forecaster(members=members).fit(PAST)
        assert len(both.predict(PAST, future=FUTURE)) == 6 * HORIZON

    def test_windows_without_calendar_keep_their_covariates(self, model):
        certain = TRAINING.model_copy(update={"calendar_dropout": 0.999999})
        config = model.config.model_copy(update={"training": certain})
        module = ForecastModule(model.network.members[0], config, 1).eval()
        table = read_series(FRAME, covariates=COVARIATES)
        windows = Windows(table, 48, HORIZON, covariates=config.covariates)
        batch = windows.gather(torch.arange(6), windows.lengths - HORIZON)
        blank = batch.known.clone()
        blank[..., : len(feature_names(table.frequency))] = 0
        blanked = batch._replace(known=blank)
        with torch.no_grad():
            loss = module.training_loss(batch)
            assert loss == module.training_loss(blanked)
            assert loss != module.training_loss(batch._replace(known=torch.zeros_like(blank)))

    def test_a_table_without_them_cannot_be_trained_on(self):
        with pytest.raises(DataError, match="the series come without the covariate 'price'"):
            forecaster().fit(read_series(PAST[["item_id", "timestamp", "target"]]))


class TestSaved:
    def test_a_saved_model_gives_the_same_forecast(self, model, tmp_path):
        model.save(tmp_path / "model")
        loaded = Forecaster.load(tmp_path / "model")
        assert loaded.config.covariates == model.config.covariates
        pd.testing.assert_frame_equal(loaded.predict(PAST, future=FUTURE), model.predict(PAST, future=FUTURE))

    def test_the_golden_input_has_covariates_that_matter(self, model, tmp_path):
        model.save(tmp_path / "model")
        path = tmp_path / "model" / "golden.json"
        golden = json.loads(path.read_text())
        assert len(golden["past_covariates"]["visits"]) == len(golden["target"])
        assert len(golden["future_covariates"]["price"]) == HORIZON
        assert golden["static_covariates"]["region"] in ("north", "south")
        golden["future_covariates"]["price"][3] += 2
        path.write_text(json.dumps(golden))
        with pytest.raises(ModelDamaged, match="does not give its golden forecast"):
            Forecaster.load(tmp_path / "model")

    @pytest.mark.parametrize("part", ["scales", "categories"])
    def test_a_model_that_lost_what_it_learnt_is_damaged(self, model, tmp_path, part):
        model.save(tmp_path / "model")
        path = tmp_path / "model" / "config.json"
        config = json.loads(path.read_text())
        config["covariates"][part] = {}
        path.write_text(json.dumps(config))
        with pytest.raises(ModelDamaged, match=r"covariates\.\w+ is not set"):
            Forecaster.load(tmp_path / "model")


class TestWhatIsAskedFor:
    def test_no_future(self, model):
        with pytest.raises(DataError, match="'shop 0' lacks price, event of 2024-01-19 00:00:00: 24 steps") as error:
            model.predict(PAST)
        assert error.value.code == "missing-covariate"

    def test_a_series_that_the_future_leaves_out(self, model):
        with pytest.raises(DataError, match="'shop 3' lacks price, event of 2024-01-19 00:00:00") as error:
            model.predict(PAST, future=FUTURE[FUTURE.item_id != "shop 3"])
        assert len(error.value.problems) == 1

    def test_a_step_that_the_future_leaves_out(self, model):
        gap = FUTURE[FUTURE.timestamp != END + pd.Timedelta(hours=5)]
        with pytest.raises(DataError, match="of 2024-01-19 05:00:00: 24 steps after its end are needed, 5 known"):
            model.predict(PAST, future=gap)
        assert len(model.predict(PAST, 5, future=gap)) == 5 * 6

    def test_a_model_without_covariates_has_no_use_for_a_future(self, blind):
        with pytest.raises(ParameterError, match="this model reads no covariates known in advance"):
            blind.predict(PAST, future=FUTURE)
        with pytest.raises(ParameterError, match="this model reads no covariates known in advance"):
            SeasonalNaive(24).predict(PAST, 24, future=FUTURE)

    def test_a_model_without_covariates_does_without_those_of_a_table(self, blind):
        rich, plain = read_series(PAST, covariates=COVARIATES), read_series(PAST)
        pd.testing.assert_frame_equal(blind.predict(rich), blind.predict(plain))


class TestOneFrame:
    """MLflow's pyfunc takes one frame: rows after the last value of a series are the future."""

    def test_the_future_follows_the_history(self, model):
        frame = pd.concat([PAST, FUTURE])
        pd.testing.assert_frame_equal(ForecastFunction(model).predict(frame), model.predict(PAST, future=FUTURE))

    def test_series_may_end_at_different_times(self, model):
        late = PAST.drop(index=PAST.index[(PAST.item_id == "shop 0") & (PAST.timestamp >= END - pd.Timedelta("3h"))])
        rows = FRAME[["item_id", "timestamp", "price", "event"]]
        future = rows.merge(late[["item_id", "timestamp"]], how="left", indicator=True)
        future = future[future["_merge"] == "left_only"].drop(columns="_merge")
        answer = ForecastFunction(model).predict(pd.concat([late, future]))
        assert answer["timestamp"][0] == END - pd.Timedelta("3h")
        pd.testing.assert_frame_equal(answer, model.predict(late, future=future))

    def test_too_few_rows(self, model):
        with pytest.raises(DataError, match="'shop 0' lacks price, event of 2024-01-19 00:00:00"):
            ForecastFunction(model).predict(PAST)
