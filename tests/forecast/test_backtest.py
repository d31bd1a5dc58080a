import numpy as np
import pandas as pd
import pytest

from forecast import SeasonalNaive, read_series
from forecast.backtest import backtest
from forecast.errors import DataError, ParameterError
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


def test_series_too_short():
    with pytest.raises(DataError) as error:
        backtest({"spy": Spy(12)}, make_table([9, 11]), prediction_length=3)
    assert error.value.code == "series-too-short"
    assert "the longest has 11 steps, 15 are needed" in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prediction_length": 0}, "prediction_length=0 is out of range"),
        ({"windows": 0}, "windows=0 is not positive; ask for 1 or more"),
        ({"quantile_levels": [0.5]}, "the levels 0.1, 0.5 and 0.9 are measured, found 0.5; add them"),
        ({"season": 0}, "season=0 is not positive"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ParameterError) as error:
        backtest({"spy": Spy()}, make_table([20]), **{"prediction_length": 3, **options})
    assert str(error.value).startswith(message)
