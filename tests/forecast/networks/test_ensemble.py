import pytest
import torch

from forecast.networks import Ensemble
from tests.forecast.networks.test_network import CONTEXT, HORIZON, make, make_batch

LEVELS = (0.1, 0.5, 0.9)


def ensemble(*members, combination="median", nonnegative=False):
    return Ensemble(members, LEVELS, combination, nonnegative).eval()


def test_one_member_alone_is_itself():
    alone = make()
    assert torch.equal(ensemble(alone)(*make_batch()), alone(*make_batch()))


def test_the_median_of_three_is_the_middle_one():
    members = [make(kind, seed=seed) for seed, kind in enumerate(("lstm", "gru", "feedforward"))]
    each = torch.stack([member(*make_batch()) for member in members])
    assert torch.equal(ensemble(*members)(*make_batch()), each.median(0).values)


def test_the_median_of_two_is_their_mean():
    members = [make(seed=seed) for seed in range(2)]
    each = torch.stack([member(*make_batch()) for member in members])
    torch.testing.assert_close(ensemble(*members)(*make_batch()), each.mean(0))


def test_weights_are_those_of_a_mean():
    members = [make(seed=seed) for seed in range(3)]
    both = ensemble(*members, combination="weights")
    each = torch.stack([member(*make_batch()) for member in members])
    torch.testing.assert_close(both(*make_batch()), each.mean(0))
    both.weights.copy_(torch.tensor([0.0, 0.25, 0.75]))
    torch.testing.assert_close(both(*make_batch()), 0.25 * each[1] + 0.75 * each[2])


def test_each_member_reads_its_own_stretch_of_history():
    short, long = make(context=CONTEXT // 2), make()
    context, observed, known = make_batch()
    half = CONTEXT // 2
    each = ensemble(short, long).each(context, observed, known)
    assert torch.equal(each[0], short(context[:, half:], observed[:, half:], known[:, half:]))
    assert torch.equal(each[1], long(context, observed, known))


def test_quantiles_never_cross_however_they_are_moved():
    both = ensemble(make(), make(seed=1))
    both.factors.copy_(torch.rand(HORIZON, 3) * 5)
    both.factors[:, 1] = 1
    assert (both(*make_batch()).diff() >= 0).all()


def test_nonnegative_clamps_only_where_the_context_has_no_negative_value():
    context, observed, known = make_batch()
    context = context.abs()
    context[0, observed[0].nonzero()[0]] = -0.5
    free = ensemble(make())(context, observed, known)
    clamped = ensemble(make(), nonnegative=True)(context, observed, known)
    assert (free < 0).any(dim=(1, 2)).all()
    torch.testing.assert_close(clamped[0], free[0])
    torch.testing.assert_close(clamped[1:], free[1:].clamp(min=0))


@pytest.mark.parametrize("combination", ["median", "weights"])
def test_what_was_not_observed_has_no_effect(combination):
    both = ensemble(make("gru"), make("cnn", seed=1), combination=combination)
    context, observed, known = make_batch()
    assert torch.equal(both(context.masked_fill(~observed, torch.nan), observed, known), both(context, observed, known))
