"""Several callers' questions in one pass: each gets what it would get alone."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast import Forecaster, SeriesTable, read_future, read_series
from forecast.auto import resolve
from forecast.errors import DataWarning
from forecast.joining import join, layout
from forecast.rolling import MOST_BLOCKS
from forecast.saved import build_network
from forecast.together import Question
from tests.forecast.conftest import HORIZON
from tests.forecast.test_covariate_forecasts import COVARIATES, END, FUTURE, PAST, forecaster

LEVELS = [[0.1, 0.5, 0.9], [0.5], [], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]]


def dated(zone, lengths, start, seed):
    random = np.random.default_rng(seed)
    frames = []
    for number, length in enumerate(lengths):
        times = pd.date_range(start, periods=length, freq="h")
        values = 100 + 20 * np.sin(np.arange(length) / 4) + random.normal(size=length)
        values[random.random(length) < 0.1] = np.nan
        values[-1] = 100
        index = times if zone is None else times.tz_localize("UTC").tz_convert(zone)
        frames.append(pd.DataFrame({"item_id": f"{number}", "timestamp": index, "target": values}))
    return pd.concat(frames, ignore_index=True)


def read(frame, freq="h", **options):
    with warnings.catch_warnings(action="ignore", category=DataWarning):
        return read_series(frame, freq=freq, **options)


@st.composite
def tables(draw):
    clock = draw(st.sampled_from([None, "UTC", "+05:30", "-03:00", "Europe/Vienna", "steps"]))
    lengths = draw(st.lists(st.integers(30, 300), min_size=1, max_size=4))
    start = draw(st.sampled_from(["2024-01-01", "2024-03-29 12:00", "2019-06-30 23:00"]))
    seed = draw(st.integers(0, 99))
    if clock == "steps":
        frame = dated(None, lengths, start, seed)
        return read(frame.assign(timestamp=frame.groupby("item_id").cumcount()), "step")
    return read(dated(clock, lengths, start, seed))


questions = st.lists(
    st.builds(
        Question, tables(), st.integers(1, 3 * HORIZON) | st.just(MOST_BLOCKS * HORIZON), st.sampled_from(LEVELS)
    ),
    min_size=1,
    max_size=6,
)


def assert_as_alone(model: Forecaster, asked: list[Question]) -> None:
    together = model.forecast_together(asked)
    assert len(together) == len(asked)
    for question, answer in zip(asked, together, strict=True):
        alone = model.forecast(*question)
        assert answer.shape == alone.shape
        # Beyond the trained horizon the network reads its own forecasts, and roundings add up.
        tolerance = 1e-6 if question.prediction_length <= model.prediction_length else 1e-4
        np.testing.assert_allclose(answer, alone, rtol=tolerance, atol=tolerance * np.abs(alone).max())


@settings(max_examples=20)
@given(asked=questions)
def test_each_is_answered_as_alone(model, asked):
    assert_as_alone(model, asked)


def test_more_than_one_pass_takes(model, table):
    """Questions that lie across the seam between two passes are whole."""
    many = table.select(np.arange(300) % len(table))
    assert_as_alone(model, [Question(many, HORIZON, [0.5]), Question(table, 30, []), Question(many, 5, LEVELS[0])])


def test_covariates_whose_categories_are_numbered_otherwise():
    """Each table numbers the categories it holds in its own order."""
    torch.manual_seed(0)
    table = read_series(PAST, covariates=COVARIATES)
    config = resolve(forecaster().config, table)
    model = Forecaster.from_networks(config, [build_network(config)])
    recent = PAST[PAST["timestamp"] >= END - pd.Timedelta(hours=60)]
    asked = []
    for shop in (1, 0, 2):  # "south" comes first, then "north"
        name = f"shop {shop}"
        past, future = (frame[frame["item_id"] == name] for frame in (recent, FUTURE))
        if shop == 2:
            past = past.assign(event=np.where(past["event"] == "fair", "parade", None))  # seen by no training
        one = read_future(future, read(past, covariates=model.covariates), model.covariates)
        asked.append(Question(one, HORIZON, [0.1, 0.9]))
    assert len({question.table.covariates.categories["region"] for question in asked}) == 2
    assert len({layout(question.table) for question in asked}) == 1
    assert_as_alone(model, asked)


def test_what_is_joined_keeps_its_wall_clock():
    tables: list[SeriesTable] = [read(dated(zone, [5], "2024-01-01", 0)) for zone in ("+05:30", None, "UTC")]
    joined = join(tables)
    assert joined.starts.astype(str).tolist() == [
        "2024-01-01T05:30:00.000000",
        "2024-01-01T00:00:00.000000",
        "2024-01-01T00:00:00.000000",
    ]
    assert (joined.tz, joined.lengths.tolist(), joined.offsets.tolist()) == (None, [5, 5, 5], [0, 5, 10])
    assert layout(tables[0]) == layout(tables[1]) != layout(read(dated("Europe/Vienna", [5], "2024-01-01", 0)))


@pytest.mark.parametrize(("horizon", "windows"), [(1, 1), (HORIZON, 1), (HORIZON + 1, 6), (2 * HORIZON + 1, 11)])
def test_windows_read(model, horizon, windows):
    assert model.windows_read(horizon) == windows
