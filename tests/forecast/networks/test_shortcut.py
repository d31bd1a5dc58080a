import torch

from forecast.networks.shortcut import seasonal_shortcut

CONTEXT = torch.tensor([[9.0, 1, 2, 3, 4, 5, 6]])
ALL = torch.ones_like(CONTEXT, dtype=torch.bool)
FALLBACK = torch.tensor([[-1.0]])


def shortcut(observed, season, horizon):
    return seasonal_shortcut(CONTEXT * observed, observed, season, horizon, FALLBACK)[0].tolist()


def test_the_last_season_repeats():
    assert shortcut(ALL, 3, 5) == [4, 5, 6, 4, 5]
    assert shortcut(ALL, 1, 3) == [6, 6, 6]
    assert shortcut(ALL, 7, 2) == [9, 1]


def test_a_missing_value_comes_from_the_season_before():
    observed = ALL.clone()
    observed[0, 5] = False
    assert shortcut(observed, 3, 3) == [4, 2, 6]
    assert shortcut(observed, 1, 1) == [6]


def test_what_no_season_has_is_the_fallback():
    observed = ALL.clone()
    observed[0, [2, 5]] = False
    assert shortcut(observed, 3, 3) == [4, -1, 6]
    assert shortcut(~ALL, 3, 2) == [-1, -1]


def test_no_season_is_the_fallback_alone():
    assert shortcut(ALL, 0, 2) == [-1, -1]
