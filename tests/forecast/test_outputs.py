import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecast.config import QUANTILE_LEVELS
from forecast.errors import ParameterError
from forecast.outputs import QuantileHead, check_levels, level_weights, pinball_loss

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


def test_pinball_against_the_formula():
    quantiles, target = torch.randn(4, 3, 5), torch.randn(4, 3)
    taus = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9])
    weight = torch.rand(4, 3)
    weight[0, 0] = 0
    total = 0.0
    for b in range(4):
        for h in range(3):
            losses = []
            for q, tau in enumerate(taus.tolist()):
                error = (target[b, h] - quantiles[b, h, q]).item()
                losses.append(2 * (tau * error if error >= 0 else (tau - 1) * error))
            total += weight[b, h].item() * sum(losses) / 5
    expected = total / weight.sum().item()
    assert pinball_loss(quantiles, target, taus, weight).item() == pytest.approx(expected, rel=1e-5)


def test_pinball_at_the_median_is_the_absolute_error():
    quantiles, target = torch.randn(4, 3, 1), torch.randn(4, 3)
    loss = pinball_loss(quantiles, target, torch.tensor([0.5]), torch.ones(4, 3))
    torch.testing.assert_close(loss, (target - quantiles[..., 0]).abs().mean())


@pytest.mark.parametrize("garbage", [math.nan, math.inf])
def test_what_has_no_weight_has_no_part_in_the_loss_or_its_gradient(garbage):
    quantiles = torch.randn(2, 3, 1, requires_grad=True)
    target, weight = torch.tensor([[1.0, garbage, 2.0]] * 2), torch.tensor([[1.0, 0.0, 1.0]] * 2)
    pinball_loss(quantiles, target, torch.tensor([0.5]), weight).backward()
    assert torch.isfinite(quantiles.grad).all()
    assert quantiles.grad[:, 1].eq(0).all()
    assert pinball_loss(quantiles, target, torch.tensor([0.5]), torch.zeros(2, 3)).item() == 0


@pytest.mark.parametrize("levels", [QUANTILE_LEVELS, (0.5,), (0.5, 0.9), (0.1, 0.5)])
def test_an_untrained_head_is_near_a_standard_normal(levels):
    head = QuantileHead(8, 4, levels)
    quantiles = head(torch.zeros(1, 8))[0]
    expected = torch.special.ndtri(torch.tensor(levels)).expand(4, -1)
    torch.testing.assert_close(quantiles, expected, atol=1e-4, rtol=1e-4)
