import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from forecast.errors import DataError
from forecast.values import is_text, parse_categories, parse_numbers


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([1, 2], False),
        ([True, None], False),
        ([1.5, None], False),
        ([Decimal(1), Decimal(2)], False),
        ([None, None], False),
        (["a", None], True),
        (["1", "2"], True),
        (pd.Categorical([1, 2]), True),
        (pd.array([1, None], dtype="Int64"), False),
        (np.array([1, "a"], object)[1:], True),
    ],
)
def test_text_and_categories_are_categories(values, text):
    assert is_text(pd.Series(values), "x") is text


@pytest.mark.parametrize(
    ("values", "named"),
    [
        (["a", 1], "mixed-integer"),
        ([dt.datetime(2024, 1, 1)], "datetime"),
        ([1 + 2j], "complex"),
        ([[1], [2]], "mixed"),
    ],
)
def test_what_is_neither_is_refused(values, named):
    with pytest.raises(DataError, match=f"the covariate 'x' holds {named} values; make it numbers") as error:
        is_text(pd.Series(values), "x")
    assert error.value.code == "bad-covariate"


@pytest.mark.parametrize(
    ("values", "codes", "labels"),
    [
        (["b", "a", None, "b"], [0, 1, np.nan, 0], ("b", "a")),
        (pd.Categorical(["x", None]), [0, np.nan], ("x",)),
        ([2, None, 1], [0, np.nan, 1], ("2", "1")),  # whole numbers, though a gap makes floats of them
        (np.array([1, "1", True], object), [0, 0, 0], ("1",)),
        ([None, None], [np.nan, np.nan], ()),
    ],
)
def test_categories_are_numbered_as_they_come(values, codes, labels):
    found, names = parse_categories(pd.Series(values))
    np.testing.assert_array_equal(found, codes)
    assert names == labels


def test_booleans_are_numbers():
    assert parse_numbers(pd.Series([True, False, None], dtype=object)).tolist()[:2] == [1, 0]
    assert parse_numbers(pd.Series([True, False])).tolist() == [1, 0]


def test_text_among_numbers_is_named():
    with pytest.raises(DataError, match="row 1 has the price 'many', which is not a number"):
        parse_numbers(pd.Series(["1", "many"]), "price", "bad-covariate")
