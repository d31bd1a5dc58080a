import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecast.config import QUANTILE_LEVELS
from forecast.errors import ParameterError
from forecast.levels import check_levels, level_weights

NORMAL = torch.special.ndtri(torch.tensor(QUANTILE_LEVELS, dtype=torch.float64))
levels = st.floats(QUANTILE_LEVELS[0], QUANTILE_LEVELS[-1])


def test_trained_levels_come_back_exactly():
    trained = torch.randn(5, len(QUANTILE_LEVELS)).sort().values
    answer = (trained.double() @ level_weights(QUANTILE_LEVELS, QUANTILE_LEVELS)).float()
    assert torch.equal(answer[:, 1:], trained)


@given(st.lists(levels, min_size=1, max_size=8, unique=True))
def test_levels_between_are_exact_for_a_normal(asked):
    answer = (3 + 2 * NORMAL) @ level_weights(QUANTILE_LEVELS, asked)
    expected = 3 + 2 * torch.special.ndtri(torch.tensor(asked, dtype=torch.float64))
    torch.testing.assert_close(answer[1:], expected, rtol=1e-9, atol=1e-9)


@given(
    st.lists(levels, min_size=2, max_size=8, unique=True),
    arrays(np.float32, len(QUANTILE_LEVELS), elements=st.floats(-(2.0**99), 2.0**99, width=32)),
)
def test_no_levels_cross_when_rounded(asked, trained):
    weights = level_weights(QUANTILE_LEVELS, sorted(asked))
    answer = (torch.from_numpy(np.sort(trained)).double() @ weights).float()
    assert (answer[1:].diff() >= -1e-6 * answer[1:].abs().max()).all()


def test_equal_quantiles_stay_equal():
    asked = [0.03, 0.11, 0.5, 0.77]
    for value in (0.1, 123.456, 1e30, 7e-31):
        trained = torch.full((len(QUANTILE_LEVELS),), value)
        assert (trained.double() @ level_weights(QUANTILE_LEVELS, asked)).float().tolist() == [trained[0].item()] * 5


def test_the_mean_of_a_symmetric_forecast_is_its_median():
    mean = (7 + 3 * NORMAL) @ level_weights(QUANTILE_LEVELS, [0.5])
    torch.testing.assert_close(mean, torch.tensor([7.0, 7.0], dtype=torch.float64))


def test_the_mean_is_the_integral_of_the_quantile_function():
    # Linear between 0.25, 0.5 and 1.0 at the levels 0.2, 0.5, 0.8; flat outside: by hand.
    weights = level_weights((0.2, 0.5, 0.8), [])
    mean = torch.tensor([0.25, 0.5, 1.0], dtype=torch.float64) @ weights
    by_hand = 0.2 * 0.25 + 0.3 * (0.25 + 0.5) / 2 + 0.3 * (0.5 + 1.0) / 2 + 0.2 * 1.0
    assert mean.item() == pytest.approx(by_hand)


def test_a_median_alone_is_its_own_mean():
    assert level_weights((0.5,), [0.5]).tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize("level", [0, 1, 2, -0.1, math.nan, math.inf, "0.5", None, True])
def test_levels_outside_zero_to_one_are_refused(level):
    with pytest.raises(ParameterError, match=f"quantile level {level} is not between 0 and 1; ask for levels"):
        level_weights(QUANTILE_LEVELS, [0.5, level])
    with pytest.raises(ParameterError, match="ask for levels such as"):
        check_levels([level])


def test_levels_beyond_those_trained_are_refused():
    with pytest.raises(ParameterError) as error:
        level_weights(QUANTILE_LEVELS, [0.99])
    assert str(error.value) == (
        "quantile level 0.99 is beyond those this model knows, 0.025 to 0.975; ask for levels from 0.025 to 0.975"
    )


def test_a_level_asked_twice_is_refused():
    with pytest.raises(ParameterError, match=r"quantile level 0\.1 is asked for twice"):
        check_levels([0.1, 0.5, 0.1])


def test_numpy_levels_will_do():
    check_levels(np.array([0.1, 0.5]))
    check_levels(np.array([0.1, 0.5], np.float32))
