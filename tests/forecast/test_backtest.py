import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from utilsforecast import losses

from forecast import SeasonalNaive, metrics, read_series
from forecast.backtest import backtest
from forecast.config import NetworkConfig, TrainingConfig
from forecast.errors import DataError, ParameterError
from forecast.forecaster import Forecaster
from forecast.predictor import Predictor
from tests.forecast.test_windows import make_table


class Spy(Predictor):
    """Forecasts the last value it can reach, and remembers what it was shown."""

    prediction_length, context_length = 3, 100

    def __init__(self, minimum_history=1):
        self.minimum_history = minimum_history
        self.shown = []

    def forecast(self, table, prediction_length, quantile_levels):
        values, observed = table.tail(5)
        self.shown.append((table.item_ids.tolist(), table.lengths.tolist(), values, observed))
        return np.repeat(values[:, -1:, None], prediction_length, 1).repeat(1 + len(quantile_levels), 2)


def steps(*lists):
    frames = [pd.DataFrame({"item_id": f"s{i}", "timestamp": range(len(v)), "target": v}) for i, v in enumerate(lists)]
    return read_series(pd.concat(frames))


def test_windows_follow_each_other_and_end_with_the_series():
    table, spy = make_table([20, 9]), Spy()
    result = backtest({"spy": spy}, table, prediction_length=3, windows=2)
    assert list(zip(result.series.tolist(), result.origins.tolist(), strict=True)) == [(0, 14), (1, 3), (0, 17), (1, 6)]
    for row, (series, origin) in enumerate(zip(result.series, result.origins, strict=True)):
        stretch = slice(table.offsets[series] + origin, table.offsets[series] + origin + 3)
        np.testing.assert_array_equal(result.actual[row], table.values[stretch])
        np.testing.assert_array_equal(result.observed[row], table.observed[stretch])


def test_models_are_shown_the_history_alone():
    table, spy = make_table([20, 9]), Spy()
    backtest({"spy": spy}, table, prediction_length=3, windows=2)
    changed, other = make_table([20, 9]), Spy()
    for offset, length in zip(changed.offsets, changed.lengths, strict=True):
        changed.values[offset + length - 3 : offset + length] = 1e6
        changed.observed[offset + length - 3 : offset + length] = True
    backtest({"spy": other}, changed, prediction_length=3, windows=2)
    last, other_last = spy.shown[-1], other.shown[-1]
    assert last[:2] == other_last[:2] == (["item 0", "item 1"], [17, 6])
    np.testing.assert_array_equal(last[2], other_last[2])
    np.testing.assert_array_equal(last[3], other_last[3])


def test_all_models_have_the_same_windows():
    models = {"patient": Spy(12), "hasty": Spy(1)}
    result = backtest(models, make_table([20, 9, 2]), prediction_length=3, windows=2)
    assert result.series.tolist() == [0, 0]
    assert result.forecasts["patient"].shape == result.forecasts["hasty"].shape == (2, 3, 10)
    assert models["hasty"].shown[0][0] == ["item 0"]


def test_metrics_by_hand():
    # Two series of step 1 scale 1 and 2; naive forecasts 4 and 8.
    table = steps([1, 2, 3, 4, 6, 7], [2, 4, 6, 8, 8, 4])
    result = backtest({"naive": SeasonalNaive(1)}, table, prediction_length=2, season=1)
    assert result.scale.tolist() == [1, 2]
    metrics = result.metrics("naive")
    assert metrics["mase"] == pytest.approx(((2 + 3) / 2 / 1 + (0 + 4) / 2 / 2) / 2)
    assert metrics["rmsse"] == pytest.approx((np.sqrt((4 + 9) / 2) + np.sqrt(16 / 2) / 2) / 2)
    assert metrics["smape"] == pytest.approx((200 * (2 / 10 + 3 / 11) / 2 + 200 * (0 + 4 / 12) / 2) / 2)
    # Half-widths of the 80 % interval: 1.28 and 1.28 * 1.41 of the deviations 1 and 2.
    assert metrics["coverage80"] == pytest.approx(1 / 4)


@pytest.fixture
def walks():
    """Three models over three windows of four series of different lengths, without gaps."""
    random = np.random.default_rng(0)
    table = steps(*(50 + random.normal(size=length).cumsum() for length in (60, 45, 38, 29)))
    models = {"last": SeasonalNaive(1), "week": SeasonalNaive(7), "half": SeasonalNaive(3)}
    return backtest(models, table, prediction_length=5, windows=3, season=7)


def long_frames(result):
    """What came and was forecast, and the history, as utilsforecast reads them."""
    names = {"item_id": "unique_id", "timestamp": "ds", "target": "y", "mean": "model"}
    table = result.table
    history = pd.DataFrame(
        {
            "unique_id": np.repeat(table.item_ids, table.lengths),
            "ds": np.concatenate([np.arange(length) for length in table.lengths]),
            "y": table.values.astype(float),
        }
    )
    return result.frame("week").rename(columns=names).astype({"model": float}), history


def test_metrics_are_those_of_utilsforecast(walks):
    frame, history = long_frames(walks)
    scaled = {"models": ["model"], "seasonality": 7, "train_df": history}
    found = walks.metrics("week")
    assert found["mase"] == pytest.approx(losses.mase(frame, **scaled)["model"].mean(), rel=1e-6)
    assert found["rmsse"] == pytest.approx(losses.rmsse(frame, **scaled)["model"].mean(), rel=1e-6)
    # Theirs is |y - f| / (|y| + |f|), M4's twice that, in percent.
    assert found["smape"] == pytest.approx(200 * losses.smape(frame, models=["model"])["model"].mean(), rel=1e-6)
    pinball = [losses.quantile_loss(frame, {"model": str(q)}, q)["model"].mean() for q in walks.levels]
    assert found["wql"] == pytest.approx(2 * np.mean(pinball) / frame["y"].abs().mean(), rel=1e-6)
    inside = losses.coverage(frame.rename(columns={"0.1": "model-lo-80", "0.9": "model-hi-80"}), ["model"], 80)
    assert found["coverage80"] == pytest.approx(inside["model"].mean())


def test_windows_add_up_to_the_metrics_of_all(walks):
    windows, overall = walks.per_window("week"), walks.metrics("week")
    assert windows.columns.tolist() == [
        "item_id",
        "cutoff",
        "mase",
        "rmsse",
        "smape",
        "loss",
        "size",
        "inside",
        "observed",
    ]
    assert windows["item_id"].tolist() == ["s0", "s1", "s2", "s3"] * 3
    assert windows["cutoff"].tolist() == (walks.origins - 1).tolist()
    for name in ("mase", "rmsse", "smape"):
        assert windows[name].mean() == pytest.approx(overall[name])
    assert windows["loss"].sum() / windows["size"].sum() == pytest.approx(overall["wql"])
    assert windows["inside"].sum() / windows["observed"].sum() == pytest.approx(overall["coverage80"])


def test_metrics_of_a_series_and_of_a_lead_time_are_those_of_a_backtest_of_it_alone(walks):
    frame, history = long_frames(walks)
    per_series, per_lead_time = walks.per_series("week"), walks.per_lead_time("week")
    assert per_series.index.tolist() == ["s0", "s1", "s2", "s3"]
    assert per_lead_time.index.tolist() == [1, 2, 3, 4, 5]
    assert per_series.columns.tolist() == per_lead_time.columns.tolist() == walks.leaderboard().columns.tolist()
    for position, item_id in enumerate(per_series.index):
        alone = walks.table.select(np.array([position]))
        result = backtest({"week": SeasonalNaive(7)}, alone, prediction_length=5, windows=3, season=7)
        assert per_series.loc[item_id].to_dict() == pytest.approx(result.metrics("week"))
    scaled = {"models": ["model"], "seasonality": 7, "train_df": history}
    for lead_time, row in per_lead_time.iterrows():
        step = frame[frame["ds"] - frame["cutoff"] == lead_time]
        assert row["mase"] == pytest.approx(losses.mase(step, **scaled)["model"].mean(), rel=1e-6)
        assert row["rmsse"] == pytest.approx(np.sqrt(losses.msse(step, **scaled)["model"].mean()), rel=1e-6)
        assert row["smape"] == pytest.approx(200 * losses.smape(step, models=["model"])["model"].mean(), rel=1e-6)
        pinball = [losses.quantile_loss(step, {"model": str(q)}, q)["model"].mean() for q in walks.levels]
        assert row["wql"] == pytest.approx(2 * np.mean(pinball) / step["y"].abs().mean(), rel=1e-6)
        inside = step["y"].between(step["0.1"], step["0.9"])
        assert row["coverage80"] == pytest.approx(inside.mean())


@given(
    st.lists(st.integers(8, 30), min_size=1, max_size=5),
    st.integers(1, 3),
    st.integers(1, 4),
    st.booleans(),
    st.integers(0, 99),
)
def test_what_is_told_apart_adds_up(lengths, windows, horizon, gaps, seed):
    table = make_table(lengths, seed=seed)
    if not gaps:
        table.values[~table.observed] = 1
        table.observed[:] = True
    result = backtest({"naive": SeasonalNaive(2)}, table, prediction_length=horizon, windows=windows, season=1)
    overall, seen = result.metrics("naive"), result.observed
    per_series, per_lead_time = result.per_series("naive"), result.per_lead_time("naive")
    windows_of = pd.Series(table.item_ids[result.series]).value_counts()[per_series.index]
    weights = {"wql": np.abs(np.where(seen, result.actual, 0)), "coverage80": seen}
    for name, weight in weights.items():
        total = pytest.approx(overall[name] * weight.sum() if seen.any() else 0)
        by_series = pd.Series(weight.sum(1)).groupby(table.item_ids[result.series]).sum()
        assert (per_lead_time[name] * weight.sum(0)).sum() == total
        assert (per_series[name] * by_series).sum() == total
    if seen.all() and (result.scale > 0).all():
        for name in ("mase", "smape"):
            assert per_lead_time[name].mean() == pytest.approx(overall[name])
            assert np.average(per_series[name], weights=windows_of) == pytest.approx(overall[name])
        squares = metrics.rmsse(result.actual, seen, result.forecasts["naive"][..., 5], result.deviation) ** 2
        assert (per_lead_time["rmsse"] ** 2).mean() == pytest.approx(squares.mean())


def test_the_leaderboard_has_the_best_first():
    table = steps(np.tile([1.0, 5, 9], 10))
    board = backtest({"last": SeasonalNaive(1), "season": SeasonalNaive(3)}, table, prediction_length=3).leaderboard()
    assert board.index.tolist() == ["season", "last"]
    assert board.columns.tolist() == ["mase", "rmsse", "smape", "wql", "coverage80"]
    assert board.loc["season", "mase"] == 0


def test_the_frame_shows_what_was_known_when():
    frame = pd.DataFrame({"timestamp": pd.date_range("2024-01-01", periods=6, freq="D", tz="Australia/Melbourne")})
    table = read_series(frame.assign(target=[1.0, 2, 3, 4, 5, 6]))
    result = backtest(
        {"naive": SeasonalNaive(1)}, table, prediction_length=2, windows=2, quantile_levels=[0.1, 0.5, 0.9]
    )
    out = result.frame("naive")
    assert out.columns.tolist() == ["item_id", "cutoff", "timestamp", "target", "mean", "0.1", "0.5", "0.9"]
    assert out["cutoff"].dt.day.tolist() == [2, 2, 4, 4]
    assert out["timestamp"].dt.day.tolist() == [3, 4, 5, 6]
    assert out["target"].tolist() == [3, 4, 5, 6]
    assert out["0.5"].tolist() == [2, 2, 4, 4]
    assert str(out["timestamp"].dt.tz) == "Australia/Melbourne"


@pytest.mark.filterwarnings("ignore::forecast.errors.DataWarning")
def test_gaps_in_what_came_are_left_out():
    table = steps([1, 2, 3, 4, np.nan, 7])
    result = backtest({"naive": SeasonalNaive(1)}, table, prediction_length=2, season=1)
    assert result.metrics("naive")["mase"] == pytest.approx(3)
    assert np.isnan(result.frame("naive")["target"].iloc[0])


def test_a_constant_series_has_no_scale_but_a_coverage():
    metrics = backtest({"naive": SeasonalNaive(1)}, steps([5.0] * 9), prediction_length=2).metrics("naive")
    assert np.isnan(metrics["mase"])
    assert (metrics["smape"], metrics["wql"], metrics["coverage80"]) == (0, 0, 1)


class Fits:
    """A way to train: remembers what it was trained on, and gives a spy."""

    def __init__(self, minimum_history=1):
        self.minimum_history = minimum_history
        self.shown, self.models = [], []

    def __call__(self, table):
        self.shown.append((table.item_ids.tolist(), table.lengths.tolist(), table.tail(30)[0].sum()))
        self.models.append(Spy(self.minimum_history))
        return self.models[-1]


def test_with_refit_a_model_is_trained_before_every_window_on_what_was_known():
    fit, table = Fits(), make_table([20, 9])
    result = backtest({"spy": fit}, table, prediction_length=3, windows=2, refit=True)
    assert [shown[:2] for shown in fit.shown] == [(["item 0", "item 1"], [14, 3]), (["item 0", "item 1"], [17, 6])]
    assert [len(model.shown) for model in fit.models] == [1, 1]
    assert [model.shown[0][1] for model in fit.models] == [[14, 3], [17, 6]]
    assert result.forecasts["spy"].shape == (4, 3, 10)


def test_without_refit_it_is_trained_once_before_the_first_window():
    fit, table = Fits(), make_table([20, 9])
    backtest({"spy": fit}, table, prediction_length=3, windows=2)
    assert [shown[:2] for shown in fit.shown] == [(["item 0", "item 1"], [14, 3])]
    assert [shown[1] for shown in fit.models[0].shown] == [[14, 3], [17, 6]]


@pytest.mark.parametrize("refit", [False, True])
def test_training_never_sees_a_window_to_come(refit):
    def shown(table):
        fit = Fits()
        backtest({"spy": fit}, table, prediction_length=3, windows=2, refit=refit)
        return fit.shown

    table = make_table([20, 9])
    before = shown(table)
    for offset, length in zip(table.offsets, table.lengths, strict=True):
        table.values[offset + length - 3 : offset + length] = 1e6
    assert shown(table) == before
    table.values[:] = 1e6
    assert shown(table) != before


def test_series_too_short_for_a_window_are_trained_on_but_not_forecast():
    fit = Fits(minimum_history=10)
    result = backtest({"spy": fit}, make_table([20, 9, 3]), prediction_length=3, windows=2, refit=True)
    assert [shown[1] for shown in fit.shown] == [[14, 3], [17, 6]]
    assert result.series.tolist() == [0, 0]


def test_a_window_before_all_series_is_left_out():
    fit = Fits()
    result = backtest({"spy": fit}, make_table([8, 5]), prediction_length=3, windows=4)
    assert [shown[:2] for shown in fit.shown] == [(["item 0"], [2])]
    assert result.origins.tolist() == [2, 5, 2]


def test_windows_may_overlap():
    result = backtest({"spy": Spy()}, make_table([20, 9]), prediction_length=3, windows=3, step=1)
    assert list(zip(result.series.tolist(), result.origins.tolist(), strict=True)) == [
        (0, 15), (1, 4), (0, 16), (1, 5), (0, 17), (1, 6)
    ]  # fmt: skip


def test_networks_are_trained_along_the_way():
    def fit(table):
        training = TrainingConfig(max_epochs=1, batches_per_epoch=2, batch_size=8)
        return Forecaster(NetworkConfig(kind="feedforward", hidden_size=4), 3, 12, training).fit(table)

    result = backtest({"net": fit, "naive": SeasonalNaive(1)}, make_table([80, 60]), prediction_length=3, windows=2)
    assert np.isfinite(result.leaderboard().to_numpy()).all()


def test_series_too_short():
    with pytest.raises(DataError) as error:
        backtest({"spy": Spy(12)}, make_table([9, 11]), prediction_length=3)
    assert error.value.code == "series-too-short"
    assert "the longest has 11 steps, 15 are needed" in str(error.value)
    with pytest.raises(DataError, match="the longest has 11 steps, 15 are needed"):
        backtest({"spy": Fits(12), "other": Spy(2)}, make_table([9, 11]), prediction_length=3, refit=True)
    with pytest.raises(DataError, match="the longest has 2 steps, 4 are needed"):
        backtest({"spy": Fits(12)}, make_table([2]), prediction_length=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prediction_length": 0}, "prediction_length=0 is out of range"),
        ({"windows": 0}, "windows=0 is not positive; ask for 1 or more"),
        ({"quantile_levels": [0.5]}, "the levels 0.1, 0.5 and 0.9 are measured, found 0.5; add them"),
        ({"season": 0}, "season=0 is not positive"),
        ({"step": 0}, "step=0 is not positive; ask for 1 or more"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ParameterError) as error:
        backtest({"spy": Spy()}, make_table([20]), **{"prediction_length": 3, **options})
    assert str(error.value).startswith(message)
