"""POST /v1/forecast answers what the library forecasts, in the caller's order and the caller's time."""

from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster, read_series

LEVELS = [0.1, 0.5, 0.9]


def season(steps: int = 168, size: float = 20, level: float = 100) -> list[float]:
    return [round(level + size * float(np.sin(2 * np.pi * hour / 24)), 3) for hour in range(steps)]


def post(client: httpx.Client, *inputs: dict[str, Any], **parameters: Any) -> list[dict[str, Any]]:
    response = client.post(
        "/v1/forecast", json={"inputs": inputs, "parameters": {"quantile_levels": LEVELS, **parameters}}
    )
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["model"] == {"name": "pedestrian", "version": None, "run_id": None}
    for prediction in answer["predictions"]:
        numbers = np.array([prediction["mean"], *prediction["quantiles"].values()])
        assert np.isfinite(numbers).all()
        assert (np.diff(numbers[1:], axis=0) >= 0).all()
    return answer["predictions"]


def hours(start: str, steps: int, zone: str | None = None) -> list[str]:
    return [time.isoformat() for time in pd.date_range(start, periods=steps, freq="h", tz=zone)]


def test_values_are_the_librarys(client: httpx.Client, tiny: Forecaster) -> None:
    target = season()
    times = pd.date_range("2024-01-01", periods=len(target), freq="h")
    frame = tiny.predict(pd.DataFrame({"item_id": "a", "timestamp": times, "target": target}))

    answer = client.post(
        "/v1/forecast", json={"inputs": [{"item_id": "a", "start": "2024-01-01T00:00:00", "target": target}]}
    ).json()

    [prediction] = answer["predictions"]
    assert prediction["item_id"] == "a"
    assert pd.DatetimeIndex(prediction["timestamps"]).tolist() == frame["timestamp"].tolist()
    assert np.allclose(prediction["mean"], frame["mean"], rtol=1e-6)
    assert list(prediction["quantiles"]) == [str(level / 10) for level in range(1, 10)]
    for level, values in prediction["quantiles"].items():
        assert np.allclose(values, frame[level], rtol=1e-6)
    assert prediction["warnings"] == []


def test_start_and_timestamps_say_the_same(client: httpx.Client) -> None:
    target = season()
    a, b = post(
        client,
        {"start": "2024-01-01T05:00:00", "target": target},
        {"timestamps": hours("2024-01-01T05:00", len(target)), "target": target},
        prediction_length=3,
    )
    assert a["timestamps"] == b["timestamps"] == ["2024-01-08T05:00:00", "2024-01-08T06:00:00", "2024-01-08T07:00:00"]
    assert (a["mean"], a["quantiles"]) == (b["mean"], b["quantiles"])
    assert (a["item_id"], b["item_id"]) == ("0", "1")


def test_beyond_the_trained_horizon_the_answer_says_so(client: httpx.Client) -> None:
    [near] = post(client, {"target": season()}, prediction_length=24)
    [far] = post(client, {"target": season()}, prediction_length=60)
    assert near["warnings"] == []
    [warning] = far["warnings"]
    assert warning.startswith("60 steps are forecast by a model trained for 24: from step 25 on")
    assert far["mean"][:24] == near["mean"]
    assert len(far["mean"]) == 60


def test_series_without_times_get_steps(client: httpx.Client) -> None:
    [prediction] = post(client, {"target": season()}, prediction_length=4)
    assert prediction["steps"] == [1, 2, 3, 4]
    assert "timestamps" not in prediction


def test_unsorted_timestamps_are_sorted(client: httpx.Client) -> None:
    target, times = season(), hours("2024-01-01", 168)
    order = np.random.default_rng(0).permutation(168)
    sorted_one, shuffled = post(
        client,
        {"timestamps": times, "target": target},
        {"timestamps": [times[i] for i in order], "target": [target[i] for i in order]},
    )
    assert sorted_one["mean"] == shuffled["mean"]


def test_missing_values_are_masked_and_told(client: httpx.Client) -> None:
    target: list[float | None] = list(season())
    times = hours("2024-01-01", 168)
    target[3] = target[4] = None
    null, gap = post(
        client,
        {"start": "2024-01-01T00:00", "target": target},
        {"timestamps": times[:3] + times[5:], "target": target[:3] + target[5:]},
    )
    assert null["mean"] == gap["mean"]
    told = "2 missing values, the first at 2024-01-01 03:00:00: masked, not filled in"
    assert null["warnings"] == gap["warnings"] == [told]


@pytest.mark.parametrize(
    ("first", "following"),
    [
        ("2024-01-01T00:00:00", "2024-01-08T00:00:00"),
        ("2024-01-01T00:00:00Z", "2024-01-08T00:00:00Z"),
        ("2024-01-01T00:00:00+00:00", "2024-01-08T00:00:00Z"),
        ("2024-01-01T00:00:00+01:00", "2024-01-08T00:00:00+01:00"),
        ("2024-01-01T00:00:00-05:30", "2024-01-08T00:00:00-05:30"),
        ("2024-01-01T00:00:00.500", "2024-01-08T00:00:00.500000"),
    ],
)
def test_times_come_back_as_sent(client: httpx.Client, first: str, following: str) -> None:
    [by_start] = post(client, {"start": first, "target": season()}, prediction_length=1)
    times = [time.isoformat() for time in pd.date_range(first, periods=168, freq="h")]
    [by_times] = post(client, {"timestamps": times, "target": season()}, prediction_length=1)
    assert by_start["timestamps"] == by_times["timestamps"] == [following]


def test_times_across_a_clock_change(client: httpx.Client) -> None:
    """Offsets that change are answered in UTC; nothing is a gap, nothing comes twice."""
    times = hours("2024-10-24T00:00", 168, "Europe/Berlin")
    assert len({time[-6:] for time in times}) == 2
    [prediction] = post(client, {"timestamps": times, "target": season()}, prediction_length=1)
    assert prediction["timestamps"] == ["2024-10-30T22:00:00Z"]
    assert prediction["warnings"] == []


def test_clocks_may_differ_within_a_request(client: httpx.Client) -> None:
    """Each series is answered as if it had been sent alone."""
    changing = hours("2024-03-28T00:00", 168, "Europe/Berlin")
    inputs = [
        {"item_id": "none", "target": season(100)},
        {"item_id": "changing", "timestamps": changing, "target": season()},
        {"item_id": "local", "start": "2024-01-01T00:00", "target": season(90)},
        {"item_id": "fixed", "timestamps": hours("2024-03-28T00:00", 168, "+01:00"), "target": season()},
        {"item_id": "utc", "timestamps": hours("2024-03-28T00:00", 168, "UTC"), "target": season()},
        {"item_id": "plain", "timestamps": hours("2024-03-28T00:00", 168), "target": season()},
        {"item_id": "east", "start": "2024-01-01T00:00+09:00", "target": season(80)},
    ]
    together = post(client, *inputs)
    assert [prediction["item_id"] for prediction in together] == [series["item_id"] for series in inputs]
    for one, series in zip(together, inputs, strict=True):
        [alone] = post(client, series)
        assert np.allclose(one.pop("mean"), alone.pop("mean"), rtol=1e-5)
        quantiles, expected = one.pop("quantiles"), alone.pop("quantiles")
        assert np.allclose([*quantiles.values()], [*expected.values()], rtol=1e-5)
        assert one == alone
    endings = [prediction["timestamps"][0][19:] for prediction in together if "timestamps" in prediction]
    assert endings == ["Z", "", "+01:00", "Z", "", "+09:00"]


def test_scales_do_not_meet(client: httpx.Client) -> None:
    scales = [1e-30, 1e-3, 1, 1e6, 1e30]
    inputs = [{"target": [value * scale for value in season()]} for scale in scales]
    for prediction, scale in zip(post(client, *inputs), scales, strict=True):
        median = np.array(prediction["quantiles"]["0.5"]) / scale
        assert np.allclose(median, season(24), atol=40)
        assert np.ptp(median) > 10


@pytest.mark.parametrize("value", [0, 5, -3.5, 1e30])
def test_constant_series(client: httpx.Client, value: float) -> None:
    [prediction] = post(client, {"target": [value] * 168})
    assert np.allclose(prediction["mean"], value, rtol=1e-3, atol=1e-3)


def test_series_shorter_than_the_context(client: httpx.Client, tiny: Forecaster) -> None:
    target = season(tiny.minimum_history)
    frame = tiny.predict(read_series(pd.DataFrame({"timestamp": range(len(target)), "target": target})))
    [prediction] = post(client, {"target": target})
    assert np.allclose(prediction["mean"], frame["mean"], rtol=1e-6)


def test_a_thousand_series_come_back_in_order(client: httpx.Client) -> None:
    inputs = [{"item_id": f"s{i}", "target": season(48, level=1000 + i)} for i in range(1000)]
    predictions = post(client, *inputs, prediction_length=2)
    assert [prediction["item_id"] for prediction in predictions] == [series["item_id"] for series in inputs]
    assert [prediction["mean"] for prediction in predictions[::333]] == [
        pytest.approx(post(client, series, prediction_length=2)[0]["mean"]) for series in inputs[::333]
    ]


def test_only_the_mean(client: httpx.Client) -> None:
    [prediction] = post(client, {"target": season()}, quantile_levels=[])
    assert prediction["quantiles"] == {}


def test_item_ids_may_be_any_text(client: httpx.Client) -> None:
    names = ["Zürich/Süd", "~1", "\u0000", "a\nb", "😀"]
    predictions = post(client, *({"item_id": name, "target": season()} for name in names))
    assert [prediction["item_id"] for prediction in predictions] == names


@pytest.mark.parametrize("horizon", [24, 192])
def test_the_wildest_of_the_largest_numbers(client: httpx.Client, horizon: int) -> None:
    """However far the model swings and goes on from its own forecasts, they stay finite."""
    random = np.random.default_rng(0)
    wild = [(random.choice([-1, 0.999, 1], 168) * 1e33).tolist() for _ in range(100)]
    lone = [[0.0] * at + [1e33] + [0.0] * (167 - at) for at in range(0, 168, 8)]
    post(client, *({"target": target} for target in wild + lone), prediction_length=horizon)
