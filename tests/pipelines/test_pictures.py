"""Pictures of runs: they hold the right numbers, say so, stay small, and need nothing from outside."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast import SeasonalNaive, read_series
from forecast.backtest import Backtest, backtest
from forecast.calendar import Frequency
from pipelines.pictures import judged, learning_curves, write_page
from pipelines.pictures.calibration import calibration, coverages
from pipelines.pictures.calibration import finding as coverage_found
from pipelines.pictures.examples import examples, pick
from pipelines.pictures.lead_time import by_lead_time
from pipelines.pictures.lead_time import finding as growth_found
from pipelines.pictures.residuals import by_time, lean, residuals
from pipelines.pictures.units import duration, step_name

HORIZON = 6


def frame(series: int, steps: int, seed: int = 0) -> pd.DataFrame:
    noise = np.random.default_rng(seed).gamma(4, 5, (series, steps))
    scale = np.arange(1, series + 1)[:, None]
    return pd.DataFrame(
        {
            "item_id": np.repeat([f"s{number}" for number in range(series)], steps),
            "timestamp": np.tile(pd.date_range("2024-01-01", periods=steps, freq="h"), series),
            "target": (noise * scale).ravel(),
        }
    )


@pytest.fixture(scope="module")
def result() -> Backtest:
    models = {"this model": SeasonalNaive(24, HORIZON), "naive": SeasonalNaive(1, HORIZON)}
    return backtest(models, read_series(frame(5, 240)), prediction_length=HORIZON, windows=3)


def epochs(losses: list[list[float]]) -> list[dict[str, float]]:
    return [
        {"member": member, "epoch": epoch, "train_loss": loss / 2, "val_loss": loss, "learning_rate": 0.1}
        for member, one in enumerate(losses)
        for epoch, loss in enumerate(one)
    ]


def test_the_best_epoch_is_marked_and_named() -> None:
    picture = learning_curves(epochs([[3, 1, 2]]), ["gru"])
    assert picture.title == "Epoch 2 of 3 was the best"
    best = next(one for one in picture.figure.data if one.name == "best epoch")
    assert (list(best.x), list(best.y)) == ([2], [1])
    validation = next(one for one in picture.figure.data if one.name == "validation")
    assert list(validation.x) == [1, 2, 3]
    assert list(validation.y) == [3, 1, 2]
    assert "still fell at the end" in learning_curves(epochs([[3, 2, 1]]), ["gru"]).title


def test_an_ensemble_has_every_network_and_a_short_legend() -> None:
    picture = learning_curves(epochs([[3, 1, 2], [4, 3, 2], [1, 2, 3]]), ["gru", "lstm", "cnn"])
    assert (
        picture.title == "The 3 networks were at their best between epochs 1 and 3; 1 of them still improved at the end"
    )
    assert len(picture.figure.data) == 7
    assert sum(one.showlegend is not False for one in picture.figure.data) == 3


def test_very_long_trainings_are_thinned_and_keep_their_best_epoch() -> None:
    losses = np.full(5001, 2.0)
    losses[3333] = 1
    picture = learning_curves(epochs([losses.tolist()]), ["gru"])
    validation = next(one for one in picture.figure.data if one.name == "validation")
    assert len(validation.x) <= 401
    assert 1 in validation.y


def test_the_examples_are_the_best_the_middle_and_the_worst_series(result: Backtest) -> None:
    errors = result.per_series("this model")["mase"].sort_values()
    found = pick(result, "this model")
    assert [role for role, _, _ in found] == ["The best", "Typical", "The worst"]
    assert [result.table.item_ids[series] for _, series, _ in found] == [errors.index[place] for place in (0, 2, 4)]
    figure = examples(result, "this model", "naive").figure
    best = found[0][1]
    window = np.flatnonzero(result.series == best)[-1]
    drawn = next(one for one in figure.data if one.name == "this model")
    np.testing.assert_array_equal(drawn.y, result.forecasts["this model"][window, :, 5])
    came = next(one for one in figure.data if one.name == "what came")
    np.testing.assert_array_equal(came.y[-HORIZON:], result.actual[window])
    assert pd.Timestamp(came.x[-1]) == pd.Timestamp("2024-01-01") + pd.Timedelta(hours=239)
    lower, upper = (one for one in figure.data[:2])
    np.testing.assert_array_equal(lower.y, result.forecasts["this model"][window, :, 1])
    np.testing.assert_array_equal(upper.y, result.forecasts["this model"][window, :, 9])


def test_error_by_lead_time_is_that_of_the_backtest(result: Backtest) -> None:
    picture = by_lead_time(result, "this model", "naive")
    for name in ("this model", "naive"):
        drawn = next(one for one in picture.figure.data if one.name == name)
        np.testing.assert_allclose(drawn.y, result.per_lead_time(name)["mase"])
        assert list(drawn.x) == [1, 2, 3, 4, 5, 6]
    assert picture.figure.layout.xaxis.title.text == "lead time, hours"


def test_growth_compares_whole_seasons() -> None:
    day = np.abs(np.sin(np.arange(24)))
    assert growth_found(np.append(day, day), 24, "2 days") == "The error stays level over 2 days"
    assert growth_found(np.append(day, 2 * day), 24, "2 days") == "The error doubles over 2 days"
    assert growth_found(np.array([1.0, 1.3]), 24, "2 hours") == "The error grows by 30% over 2 hours"
    assert growth_found(np.array([2.0, 1.0]), 1, "2 hours") == "The error falls by 50% over 2 hours"
    assert growth_found(np.array([0.0, np.nan]), 1, "2 hours") == "The error over 2 hours"


def test_calibration_counts_what_lies_inside(result: Backtest) -> None:
    found = coverages(result, "naive")
    assert list(found) == [0.2, 0.4, 0.6, 0.8]
    forecasts = result.forecasts["naive"]
    inside = (result.actual >= forecasts[..., 1]) & (result.actual <= forecasts[..., 9])
    assert found[0.8] == pytest.approx(inside.mean())
    picture = calibration(result, "this model", "naive")
    drawn = next(one for one in picture.figure.data if one.name == "naive")
    np.testing.assert_allclose(drawn.y, [100 * share for share in found.values()])
    assert coverage_found(0.7) == "80% intervals hold 70% of what came: they are too narrow"
    assert coverage_found(0.81).endswith("they can be relied on")


def test_residuals_are_in_time_and_in_seasonal_naive_errors(result: Backtest) -> None:
    spread = by_time(result, "naive")
    assert len(spread) == 3 * HORIZON
    left = (result.actual - result.forecasts["naive"][..., 5]) / result.scale[:, None]
    np.testing.assert_allclose(spread["median"].iloc[-HORIZON:], np.median(left[-5:], axis=0), rtol=1e-5)
    mean, size = lean(result, "naive")
    assert mean == pytest.approx((result.actual - result.forecasts["naive"][..., 5]).mean(), rel=1e-5)
    assert size == pytest.approx(result.actual.mean(), rel=1e-5)
    side = "low" if mean > 0 else "high"
    assert side in residuals(result, "naive").title


def test_series_that_cannot_be_scaled_and_values_never_seen_are_drawn_all_the_same() -> None:
    table = pd.DataFrame({"item_id": "flat", "timestamp": range(60), "target": 3.0})
    table.loc[57:, "target"] = np.nan
    table.loc[59, "target"] = 3.0
    models = {"this model": SeasonalNaive(1, HORIZON), "naive": SeasonalNaive(1, HORIZON)}
    with pytest.warns(match="missing"):
        series = read_series(table)
    pictures = judged(backtest(models, series, prediction_length=HORIZON, windows=1), "this model", "naive")
    assert len(pictures) == 4
    assert all(picture.figure.to_json() for picture in pictures)


def test_a_page_opens_offline_and_is_small_whatever_the_number_of_series(tmp_path: Path) -> None:
    table = read_series(frame(1000, 400))
    models = {f"model {number}": SeasonalNaive(number, 48) for number in range(1, 13)}
    result = backtest(models, table, prediction_length=48, windows=3)
    pictures = [*judged(result, "model 3", "model 1"), learning_curves(epochs([[2.0] * 1000] * 16), ["gru"] * 16)]
    write_page(tmp_path / "page.html", "A <b>run</b>", pictures)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "A &lt;b&gt;run&lt;/b&gt;" in page
    scripts = re.findall(r"<script[^>]*>", page)
    assert not [tag for tag in scripts if "src" in tag]
    assert not re.search(r"<(link|img|iframe|base)\b", re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL))
    assert page.count("plotly.js v") == 1
    assert [page.count(f'id="picture-{number}"') for number in range(1, 6)] == [1] * 5
    assert len(page.encode()) < 6_000_000


@pytest.mark.parametrize(
    ("alias", "steps", "name", "span"),
    [
        ("h", 48, "hour", "2 days"),
        ("30min", 3, "step of 30 minutes", "90 minutes"),
        ("MS", 24, "month", "2 years"),
        ("QS", 1, "quarter", "1 quarter"),
        ("B", 5, "business day", "5 business days"),
        ("step", 7, "step", "7 steps"),
    ],
)
def test_steps_have_names(alias: str, steps: int, name: str, span: str) -> None:
    assert step_name(Frequency.parse(alias)) == name
    assert duration(Frequency.parse(alias), steps) == span
