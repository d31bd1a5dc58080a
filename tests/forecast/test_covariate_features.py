import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from forecast import CovariatesConfig, read_series
from forecast.covariate_features import check_covariates, check_known_ahead, learn, static_size, varying_size
from forecast.covariates import CovariateNames, Covariates
from forecast.errors import DataError
from forecast.windows import Windows
from tests.forecast.test_covariates import shops
from tests.forecast.test_windows import CONTEXT, HORIZON, lengths_strategy, make_table

CONFIG = CovariatesConfig(
    known=("price", "event"),
    past=("visits",),
    static=("region",),
    scales={"price": (10.0, 2.0), "visits": (0.0, 1.0)},
    categories={"event": ("fair", "sale"), "region": ("n", "s")},
)
SIZES = {"price": 1, "event": 2, "visits": 1}


def with_covariates(lengths, ahead=HORIZON, seed=0, freq="step"):
    """Random series, their covariates known some steps ahead, laid out in another order than the series."""
    random = np.random.default_rng(seed)
    table = make_table(lengths, freq, seed=seed)
    steps = table.lengths + ahead
    offsets = (np.cumsum(steps[::-1]) - steps[::-1])[::-1].copy()
    price = np.where(random.random(steps.sum()) < 0.1, np.nan, random.normal(10, 2, steps.sum()))
    event = np.where(random.random(steps.sum()) < 0.2, np.nan, random.integers(0, 3, steps.sum()))
    values = np.stack((event, random.normal(size=steps.sum()), price), axis=1).astype(np.float32)
    covariates = Covariates(
        CovariateNames(("event", "visits", "price"), ("region",)),
        values,
        offsets,
        steps,
        random.integers(0, 2, (len(table), 1)).astype(np.float32),
        {"event": ("sale", "unseen", "fair"), "region": ("s", "elsewhere")},
    )
    return dataclasses.replace(table, covariates=covariates)


def by_hand(table, series, step, origin):
    """The features of one step, by name."""
    covariates = table.covariates
    blank = {"price": [0.0], "event": [0.0, 0.0], "visits": [0.0]}
    if not 0 <= step < covariates.lengths[series]:
        return blank
    event, visits, price = covariates.values[covariates.offsets[series] + step].tolist()
    return {
        "price": [0.0 if np.isnan(price) else np.clip((price - 10) / 2, -10, 10)],
        "event": {0: [0.0, 1.0], 2: [1.0, 0.0]}.get(event, [0.0, 0.0]),
        "visits": [visits if step < origin else 0.0],
    }


def windows(table):
    return Windows(table, CONTEXT, HORIZON, covariates=CONFIG)


@given(lengths_strategy, st.integers(0, 4), st.integers(0, 100))
def test_every_window_has_the_features_of_its_own_steps(lengths, ahead, seed):
    table = with_covariates(lengths, ahead, seed)
    pairs = [(series, origin) for series, length in enumerate(lengths) for origin in range(length + 1)]
    batch = windows(table).gather(*torch.tensor(pairs).T)
    assert batch.known.shape[-1] == varying_size(CONFIG) == 4
    for k, (series, origin) in enumerate(pairs):
        for t, step in enumerate(range(origin - CONTEXT, origin + HORIZON)):
            expected = by_hand(table, series, step, origin)
            assert batch.known[k, t].tolist() == pytest.approx(
                expected["price"] + expected["event"] + expected["visits"], abs=1e-5
            )


@given(lengths_strategy, st.data())
def test_a_window_knows_nothing_of_the_future_but_what_is_known_in_advance(lengths, data):
    table = with_covariates(lengths)
    series = data.draw(st.integers(0, len(lengths) - 1))
    origin = data.draw(st.integers(0, lengths[series]))
    window = torch.tensor([series]), torch.tensor([origin])
    before = windows(table).gather(*window)
    at = table.covariates.offsets[series] + origin
    table.covariates.values[at : at + lengths[series] - origin + HORIZON, 1] = 99
    after = windows(table).gather(*window)
    for changed, was in zip(after, before, strict=True):
        torch.testing.assert_close(changed, was, rtol=0, atol=0, equal_nan=True)


@given(lengths_strategy, st.integers(CONTEXT, 12))
def test_cutting_a_table_changes_no_window(lengths, kept):
    table = with_covariates(lengths)
    series = torch.arange(len(lengths))
    whole = windows(table).latest(series)
    cut = windows(table.keep_last(kept)).latest(series)
    for part, was in zip(cut, whole, strict=True):
        torch.testing.assert_close(part, was, rtol=0, atol=0, equal_nan=True)


@given(st.lists(st.integers(4, 20), min_size=1, max_size=4), st.integers(1, 3))
def test_the_future_of_a_shortened_series_is_what_it_knew(lengths, dropped):
    table = with_covariates(lengths)
    series = torch.arange(len(lengths))
    short = windows(table.drop_last(dropped)).latest(series)
    whole = windows(table).gather(series, torch.from_numpy(table.lengths) - dropped)
    torch.testing.assert_close(short.known, whole.known, rtol=0, atol=0)
    torch.testing.assert_close(short.static, whole.static, rtol=0, atol=0)


def test_static_features_are_those_of_the_series():
    table = with_covariates([5, 5, 5])
    table.covariates.static[:, 0] = [0, 1, np.nan]  # "s", one the model does not know, missing
    batch = windows(table).gather(torch.tensor([2, 0, 1, 0]), torch.tensor([5, 5, 5, 2]))
    assert static_size(CONFIG) == 2
    assert batch.static.tolist() == [[0, 0], [0, 1], [0, 0], [0, 1]]


def test_calendar_features_come_first():
    table = with_covariates([30], freq="h")
    batch = windows(table).latest(torch.tensor([0]))
    plain = Windows(make_table([30]), CONTEXT, HORIZON).latest(torch.tensor([0]))
    assert batch.known.shape[-1] == plain.known.shape[-1] + 4
    torch.testing.assert_close(batch.known[..., :-4], plain.known)


def test_numbers_far_off_are_cut():
    table = with_covariates([9])
    table.covariates.values[:, 2] = 1e37
    assert windows(table).latest(torch.tensor([0])).known[..., 0].max() == 10


class TestLearning:
    def frame(self):
        return shops(price=[1, 2, 3, 4, 5, None], event=["b", "a", None, "c", None, "d"], size=[5] * 3 + [7] * 3)

    CONFIG = CovariatesConfig(known=("price", "event"), static=("size",))

    def test_scales_and_categories(self):
        learnt = learn(self.CONFIG, read_series(self.frame(), covariates=self.CONFIG))
        assert learnt.scales == {"price": (3, pytest.approx(np.sqrt(2))), "size": (6, 1)}
        assert learnt.categories == {"event": ("a", "b", "c", "d")}

    def test_nothing_is_learnt_of_the_future(self):
        learnt = learn(self.CONFIG, read_series(self.frame(), covariates=self.CONFIG).drop_last(1))
        assert learnt.scales["price"] == (3, pytest.approx(np.std([1, 2, 4, 5])))
        assert learnt.categories == {"event": ("a", "b", "c")}

    def test_what_is_given_is_kept(self):
        given = self.CONFIG.model_copy(update={"scales": {"price": (0, 9)}, "categories": {"event": ("z",)}})
        learnt = learn(given, read_series(self.frame(), covariates=self.CONFIG))
        assert learnt.scales["price"] == (0, 9)
        assert learnt.categories == {"event": ("z",)}
        assert learn(learnt, read_series(shops(price=1, event="q", size=1), covariates=self.CONFIG)) == learnt

    def test_a_constant_has_a_scale(self):
        config = CovariatesConfig(past=("price",))
        assert learn(config, read_series(shops(price=4), covariates=config)).scales == {"price": (4, 1)}

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ([np.nan] * 60, "the covariate 'x' has no value at all"),
            ([f"c{k}" for k in range(60)], "the covariate 'x' has 60 categories, 50 can be told apart; group"),
            (["many", *map(str, range(59))], "'many' is not; if numbers are meant, convert"),
            ([*map(str, range(60))], "most are numbers; if numbers are meant, convert"),
        ],
    )
    def test_columns_that_nothing_can_be_learnt_from(self, values, message):
        times = pd.date_range("2024", periods=60)
        frame = pd.DataFrame({"item_id": "a", "timestamp": times, "target": range(60), "x": values})
        config = CovariatesConfig(past=("x",))
        with pytest.raises(DataError, match=message) as error:
            learn(config, read_series(frame, covariates=config))
        assert error.value.code == "bad-covariate"

    def test_a_table_read_without_them(self):
        with pytest.raises(DataError, match="the series come without the covariate 'price'; name it when") as error:
            learn(self.CONFIG, read_series(self.frame()))
        assert error.value.code == "missing-covariate"


class TestChecks:
    def test_all_that_is_needed_passes(self):
        table = with_covariates([5, 9])
        check_covariates(CONFIG, table)
        check_known_ahead(CONFIG, table, HORIZON)

    def test_another_kind_of_value(self):
        table = read_series(shops(price=["x"] * 6), covariates=CovariatesConfig(known=("price",)))
        config = CovariatesConfig(known=("price",), scales={"price": (0, 1)})
        with pytest.raises(DataError, match="'price' holds text, the model was trained on numbers"):
            check_covariates(config, table)

    def test_steps_that_are_not_known(self):
        table = with_covariates([5, 9], 2, freq="h")
        with pytest.raises(DataError) as error:
            check_known_ahead(CONFIG, table, 3)
        assert error.value.code == "missing-covariate"
        first, second = error.value.problems
        expected = "'item 0' lacks price, event of 2024-01-01 07:00:00: 3 steps after its end are needed, 2 known"
        assert first.detail == expected
        assert "'item 1' lacks price, event of 2024-01-01 11:00:00" in second.detail
