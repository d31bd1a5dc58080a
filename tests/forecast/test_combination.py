import torch

from forecast.combination import select_weights

LEVELS = torch.tensor([0.5])
EVERYTHING = torch.ones(200, 4, dtype=bool)


def members(actual, *errors):
    return torch.stack([(actual + error).unsqueeze(-1) for error in errors])


def test_the_best_member_of_all_gets_everything():
    actual = torch.randn(200, 4)
    weights = select_weights(
        members(actual, 3.0, 0.0, -5.0), actual, torch.ones_like(actual, dtype=bool), torch.ones(200), LEVELS
    )
    assert weights.tolist() == [0, 1, 0]


def test_errors_that_cancel_are_weighed_against_each_other():
    actual = torch.randn(200, 4)
    weights = select_weights(
        members(actual, 3.0, -1.0, 9.0), actual, torch.ones_like(actual, dtype=bool), torch.ones(200), LEVELS
    )
    torch.testing.assert_close(weights, torch.tensor([0.25, 0.75, 0.0]))


def test_what_has_no_unit_and_what_was_not_observed_have_no_say():
    actual = torch.zeros(2, 4)
    observed = torch.tensor([[True] * 4, [True, False, False, False]])
    first = torch.tensor([[0.0] * 4, [9.0] * 4])  # right in the first window
    second = torch.tensor([[1.0] * 4, [0.0] * 4])
    quantiles = torch.stack((first, second)).unsqueeze(-1)
    assert select_weights(quantiles, actual, observed, torch.tensor([1.0, 0.0]), LEVELS).tolist() == [1, 0]
    assert select_weights(quantiles, actual, observed, torch.tensor([0.0, 1.0]), LEVELS).tolist() == [0, 1]
