"""Planted faults are found, and healthy networks left alone; full counts in the slow tests."""

from collections import Counter

import pytest

from tests.forecast.inspection.faults import FAULTS, KINDS, codes, look_at_healthy

pytestmark = pytest.mark.filterwarnings("ignore::forecast.errors.DataWarning")  # the bundled counts have gaps

SEEDS = range(20)
RATE = 0.95
CHEAP = [name for name, fault in FAULTS.items() if fault.code not in ("overfitting",)]


@pytest.mark.parametrize("name", CHEAP)
def test_a_mild_fault_is_found(name):
    fault = FAULTS[name]
    (finding,) = [found for found in fault.plant(1, fault.severities[0]).findings if found.code == fault.code]
    assert (finding.value > finding.threshold) == (
        fault.code not in ("vanishing-gradient", "flat-forecast", "learning-rate-too-low")
    )
    assert any(digit.isdigit() for digit in finding.evidence)
    assert finding.advice


@pytest.mark.parametrize("kind", ["feedforward", "lstm"])
def test_a_healthy_network_is_left_alone(kind):
    assert codes(look_at_healthy(kind, 1)) == set()


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_planted_faults_are_found(name):
    fault = FAULTS[name]
    found = {
        severity: sum(fault.code in codes(fault.plant(seed, severity)) for seed in SEEDS)
        for severity in fault.severities
    }
    print(name, found)
    assert sum(found.values()) >= RATE * len(SEEDS) * len(found), found


@pytest.mark.slow
def test_healthy_networks_are_left_alone():
    fired = Counter(code for seed in SEEDS for kind in KINDS for code in codes(look_at_healthy(kind, seed)))
    print(fired)
    assert all(count <= (1 - RATE) * len(SEEDS) * len(KINDS) for count in fired.values()), fired
