import numpy as np
import pytest
import torch

from forecast import ForecasterConfig, NetworkConfig, TrainingConfig, learning_rate_range_test
from forecast.errors import DataError
from tests.forecast.test_windows import make_table


def config(**training):
    return ForecasterConfig(
        prediction_length=24,
        context_length=168,
        network=NetworkConfig(kind="gru", hidden_size=16),
        training=TrainingConfig(batch_size=32, **training),
    )


def test_the_loss_falls_then_rises_and_the_suggestion_is_before(table):
    rates, losses, suggestion = learning_rate_range_test(config(), table)
    assert rates[0] == 1e-6
    np.testing.assert_allclose(rates[1:] / rates[:-1], 1e6 ** (1 / 99))
    assert len(rates) == len(losses) > 60
    np.testing.assert_allclose(losses[:10], 1, atol=0.01)  # steps too small to matter
    least = int(np.argmin(losses))
    assert losses[least] < 0.9
    assert losses[least:].max() > 1.02 * losses[least]
    assert suggestion == pytest.approx(rates[least] / 10)
    assert 3e-4 < suggestion < 3e-2


def test_what_learns_slower_is_given_a_higher_rate(table):
    adam = learning_rate_range_test(config(), table).suggestion
    sgd = learning_rate_range_test(config(optimizer="sgd"), table).suggestion
    assert sgd > 5 * adam


def test_it_ends_when_the_loss_leaves_all_bounds(table):
    found = learning_rate_range_test(config(optimizer="rmsprop", momentum=0.9), table)
    assert len(found.losses) < 100
    assert np.isfinite(found.losses).all()


def test_it_changes_nothing_and_gives_the_same_again(table):
    values, state = table.values.copy(), torch.get_rng_state()
    first, second = (learning_rate_range_test(config(), table, steps=20) for _ in range(2))
    np.testing.assert_array_equal(first.losses, second.losses)
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(table.values, values)
    other = learning_rate_range_test(config(seed=1), table, steps=20)
    assert not np.array_equal(other.losses, first.losses)


def test_the_rate_and_the_schedule_of_the_configuration_do_not_matter(table):
    first = learning_rate_range_test(config(), table, steps=20)
    second = learning_rate_range_test(config(learning_rate=0.5, schedule="plateau"), table, steps=20)
    np.testing.assert_array_equal(first.losses, second.losses)


def test_series_that_are_too_short():
    with pytest.raises(DataError, match="no series is long enough to learn from"):
        learning_rate_range_test(config(), make_table([30], "h"))
