import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecast.scaling import compress, expand, log_unit, slope, window_scale

SCALINGS = ["standard", "mean-abs", "robust"]
exponents = st.integers(-30, 30)
numbers = st.floats(-1, 1, width=32).map(lambda number: number if abs(number) > 1e-6 else 0.0)
shapes = arrays(np.float32, (3, 12), elements=numbers)

ONE = torch.ones(1)


@pytest.mark.parametrize("scaling", SCALINGS)
@given(shape=shapes, exponent=exponents)
def test_scaling_is_invertible_at_any_size(scaling, shape, exponent):
    context = torch.from_numpy(shape) * 10.0**exponent
    scale = window_scale(context, torch.ones_like(context, dtype=torch.bool), scaling)
    back = scale.invert(scale.apply(context))
    peak = context.abs().amax(1, keepdim=True)
    assert torch.isfinite(back).all()
    assert ((back - context).abs() <= 1e-5 * peak).all()


@pytest.mark.parametrize("scaling", SCALINGS)
@given(shape=shapes, exponent=exponents)
def test_scaled_values_do_not_depend_on_the_unit(scaling, shape, exponent):
    context = torch.from_numpy(np.where(np.abs(shape) < 1e-3, 0, shape))
    seen = torch.ones_like(context, dtype=torch.bool)
    unit = 2.0 ** (3 * exponent)  # exact in floating point
    one, other = window_scale(context, seen, scaling), window_scale(context * unit, seen, scaling)
    torch.testing.assert_close(other.apply(context * unit), one.apply(context), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("exponent", [-30, 0, 30])
def test_the_scale_is_that_of_the_observed_values(exponent):
    unit = 10.0**exponent
    context = torch.tensor([[1.0, 0.0, 3.0, -2.0]]) * unit
    observed = torch.tensor([[True, False, True, True]])
    seen = np.array([1, 3, -2]) * unit
    standard = window_scale(context, observed, "standard")
    np.testing.assert_allclose(standard.loc.item(), seen.mean(), rtol=1e-6)
    np.testing.assert_allclose(standard.size.item(), seen.std(), rtol=1e-6)
    absolute = window_scale(context, observed, "mean-abs")
    assert absolute.loc.item() == 0
    np.testing.assert_allclose(absolute.size.item(), np.abs(seen).mean(), rtol=1e-6)
    np.testing.assert_allclose(absolute.mean.item(), seen.mean(), rtol=1e-6)


@pytest.mark.parametrize("value", [5.0, 0.1, 1e30, 1e-30, -3e7])
def test_a_constant_window_has_no_size(value):
    context = torch.full((1, 50), value)
    scale = window_scale(context, torch.ones_like(context, dtype=torch.bool), "standard")
    assert scale.size.item() == 0
    np.testing.assert_allclose(scale.loc.item(), value, rtol=1e-6)
    assert scale.apply(context).eq(0).all()


@pytest.mark.parametrize("scaling", SCALINGS)
def test_windows_of_zeros_or_of_nothing_are_zeros(scaling):
    context = torch.zeros(2, 5)
    observed = torch.tensor([[True] * 5, [False] * 5])
    scale = window_scale(context, observed, scaling)
    for part in scale:
        assert part.eq(0).all()
    assert scale.apply(context + 3).eq(0).all()
    assert scale.invert(torch.ones(2, 5)).eq(0).all()


@given(
    number=st.floats(-1, 1, width=32).filter(lambda number: abs(number) > 1e-6),
    exponent=st.integers(-30, 30),
    unit=st.sampled_from([1e-30, 1e-3, 1.0, 1e28]),
)
def test_the_log_transform_is_invertible_at_any_size(number, exponent, unit):
    values, units = torch.tensor([number, -number]) * 10.0**exponent, torch.tensor([unit])
    assume(abs(number) * 10.0**exponent < 1e30 * unit)
    back = expand(compress(values, units, "log"), units, "log")
    kept = (values.abs() > 1e-36) & ((values / units).abs() > 1e-36)  # smaller ones have no full precision
    torch.testing.assert_close(back[kept], values[kept], rtol=1e-5, atol=0)


def test_the_log_transform_is_the_logarithm_of_one_more():
    values = torch.tensor([0.0, 1.0, 99.0, -99.0, 1e-6])
    expected = [0, np.log(2), np.log(100), -np.log(100), 1e-6]
    np.testing.assert_allclose(compress(values, ONE, "log"), expected, rtol=1e-6)
    np.testing.assert_allclose(compress(values * 7, 7 * ONE, "log"), expected, rtol=1e-5)


@given(number=st.floats(width=32, allow_nan=False, allow_infinity=False), unit=st.sampled_from([1e-30, 1.0, 1e35]))
def test_what_is_expanded_is_finite(number, unit):
    assert torch.isfinite(expand(torch.tensor([number]), torch.tensor([unit]), "log")).all()


def test_values_are_counted_in_a_hundredth_of_their_mean():
    context = torch.tensor([[1.0, -3.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    observed = torch.tensor([[True, True, True, False]] * 2)
    torch.testing.assert_close(log_unit(context, observed, "log"), torch.tensor([[4 / 300], [1.0]]))
    assert log_unit(context, observed, "none").tolist() == [[1], [1]]


@pytest.mark.parametrize("transform", ["none", "log"])
def test_the_slope_is_the_derivative_of_what_is_expanded(transform):
    values, unit = torch.tensor([0.5, 3.0, -40.0, 900.0], dtype=torch.float64), torch.tensor([2.0], dtype=torch.float64)
    point = compress(values, unit, transform).requires_grad_()
    expand(point, unit, transform).sum().backward()
    torch.testing.assert_close(point.grad, slope(values, unit, transform))


def test_without_a_transform_nothing_changes():
    values = torch.tensor([-3.0, 0.0, 1e30])
    assert compress(values, ONE, "none") is values
    assert expand(values, ONE, "none") is values
