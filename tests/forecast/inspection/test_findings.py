import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from forecast import Forecaster, NetworkConfig, TrainingConfig, inspection
from forecast.inspection.findings import CHECKS, diagnose, diagnose_whole
from forecast.inspection.thresholds import THRESHOLDS
from forecast.lr_range import LearningRateRange
from tests.forecast.inspection.faults import CONTEXT, HORIZON, codes, look_at_healthy, make_series

DOCS = (Path(__file__).parents[3] / "docs" / "inside.md").read_text()


@pytest.fixture(scope="module")
def healthy():
    return look_at_healthy("lstm", 1)


def found(seen, code):
    return [finding for finding in diagnose(seen) if finding.code == code]


def test_what_is_worst_comes_first(healthy):
    gates = (inspection.GateHealth(0, "forget", np.ones(4), np.zeros(4)),)
    poor = replace(healthy.performance, error=2 * healthy.performance.error)
    findings = diagnose(replace(healthy, gates=gates, performance=poor))
    assert [finding.code for finding in findings] == ["worse-than-naive", "saturated-gates"]
    assert "shut 100%" in findings[1].evidence
    assert findings[1].layer == "encoder.recurrence.0.forget"


def test_a_small_radius_is_no_fault_of_a_gated_network(healthy):
    spectra = tuple(replace(one, matrix=one.matrix * 0.01) for one in healthy.spectra)
    assert diagnose(replace(healthy, spectra=spectra)) == ()


@pytest.mark.parametrize(("decay", "fires"), [(0.9, True), (0.99, False)])
def test_a_long_recurrence_of_which_most_is_not_taught_vanishes(healthy, decay, fires):
    norm = decay ** np.arange(336)[::-1]
    gradients = (inspection.StateGradients(0, norm, norm, 1),)
    assert bool(found(replace(healthy, state_gradients=gradients), "vanishing-gradient")) == fires


def test_an_lstm_whose_cell_carries_what_its_output_hides_does_not_vanish(healthy):
    shown, carried = 0.5 ** np.arange(100)[::-1], 0.99 ** np.arange(100)[::-1]
    gradients = (inspection.StateGradients(0, shown, carried, 1),)
    assert not found(replace(healthy, state_gradients=gradients), "vanishing-gradient")


def test_a_cnn_that_does_not_see_a_season(healthy):
    field = inspection.ReceptiveField(steps=48, context=336, season=168)
    (finding,) = found(replace(healthy, field=field), "season-out-of-sight")
    assert (finding.value, finding.threshold) == (48, 168)
    assert "context_length" not in finding.advice
    short = inspection.ReceptiveField(steps=48, context=48, season=168)
    assert "context_length" in found(replace(healthy, field=short), "season-out-of-sight")[0].advice


def test_a_context_read_for_nothing(healthy):
    encoder = np.zeros((HORIZON, CONTEXT))
    encoder[:, -10:] = 1
    (finding,) = found(
        replace(healthy, connectivity=inspection.Connectivity(encoder, encoder)), "context-beyond-memory"
    )
    assert finding.value == pytest.approx(9 / 168)
    silent = inspection.Connectivity(encoder, np.zeros_like(encoder))
    assert not found(replace(healthy, connectivity=silent), "context-beyond-memory")


def test_intervals_that_hold_too_little(healthy):
    poor = replace(healthy.performance, covered=np.full_like(healthy.performance.covered, 0.4))
    (finding,) = diagnose_whole(poor)
    assert finding.code == "narrow-intervals"
    assert "40%" in finding.evidence
    assert "80%" in finding.evidence


def test_of_a_few_windows_nothing_is_said(healthy):
    few = {name: value[:3] for name, value in vars(healthy.performance).items() if isinstance(value, np.ndarray)}
    poor = replace(healthy.performance, **few)
    assert diagnose_whole(replace(poor, error=9 * poor.error, covered=0 * poor.covered)) == ()


def test_a_flat_forecast_is_right_where_nothing_repeats(healthy):
    flat = replace(healthy.performance, variation=0 * healthy.performance.variation)
    assert [finding.code for finding in diagnose_whole(flat)] == ["flat-forecast"]
    assert diagnose_whole(replace(flat, seasonal_error=flat.flat_error, error=flat.flat_error)) == ()


def test_what_learnt_nothing_is_underfitted_only_where_it_is_no_better_than_naive(healthy):
    curve = inspection.LearningCurve(np.array([1.0, 0.99]), np.array([1.0, 1.0]), np.full(2, 0.1))
    assert not found(replace(healthy, curve=curve), "underfitting")
    poor = replace(healthy.performance, error=1.5 * healthy.performance.error)
    assert found(replace(healthy, curve=curve, performance=poor), "underfitting")


def test_a_rise_alone_or_a_gap_alone_is_no_overfitting(healthy):
    train = np.array([1.0, 0.5, 0.4])
    for val, fires in (([1.0, 0.9, 1.3], True), ([1.0, 0.9, 0.95], False), ([0.4, 0.3, 0.5], False)):
        curve = inspection.LearningCurve(train, np.array(val), np.full(3, 0.1))
        assert bool(found(replace(healthy, curve=curve), "overfitting")) == fires


@pytest.mark.parametrize(
    ("rate", "code"), [(0.9, "learning-rate-too-high"), (1e-6, "learning-rate-too-low"), (1e-2, "")]
)
def test_without_a_record_the_range_test_tells_the_learning_rate(healthy, rate, code):
    rates = np.geomspace(1e-6, 1, 61)
    losses = 1 - 0.5 / (1 + (1e-3 / rates) ** 2) + (rates / 0.2) ** 2
    reading = inspection.read_learning_rate(LearningRateRange(rates, losses, 0.003), rate)
    findings = diagnose(replace(healthy, training=None, learning_rate=reading))
    assert [finding.code for finding in findings] == ([code] if code else [])
    # What was recorded in training itself counts more.
    assert diagnose(replace(healthy, learning_rate=reading)) == ()


def test_every_code_is_documented_with_its_threshold():
    assert set(re.findall(r"^\| `([a-z-]+)` \|", DOCS, re.M)) == set(inspection.Finding.CODES)
    for name, words in {
        "vanishing-radius": "below 0.5",
        "vanishing-share": "under 15 %",
        "exploding-growth": "more than 8 %",
        "dead-units": "58 %",
        "saturated-gates": "80 %",
        "overfitting-rise": "more than 10 %",
        "overfitting-gap": "200 % above",
        "underfitting-fall": "less than 5 %",
        "learning-rate-high": "more than 6 %",
        "learning-rate-low": "0.15 %",
        "memory": "latest tenth",
        "flat-forecast": "less than 40 %",
        "pattern": "seasonal pattern",
        "narrow-intervals": "under 55 %",
        "worse-than-naive": "1.15 times",
    }.items():
        assert words in DOCS
        digits = re.findall(r"[\d.]+", words)
        value = THRESHOLDS[name].value
        known = {value, 100 * value, 100 * (value - 1), 100 * (0.8 - value)}
        assert all(any(abs(float(digit) - one) < 1e-6 for one in known) for digit in digits), name
    assert len(CHECKS) == 10


def test_the_code_of_the_guide_runs(tmp_path):
    code = "\n".join(re.findall(r"```python\n(.*?)```", DOCS, re.S))
    quick = "training=TrainingConfig(max_epochs=1, batches_per_epoch=4, batch_size=32))"
    code = code.replace("prediction_length=24)", f"prediction_length=24, {quick}", 1)
    code = code.replace("import Forecaster,", "import Forecaster, TrainingConfig,").replace(
        "read_series(load_pedestrian())", "read_series(load_pedestrian()).keep_last(24 * 40)"
    )
    code += "\nprint(sorted(tables))"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "'findings'" in done.stdout


def test_the_light_recorder_costs_next_to_nothing():
    """The share of the training's own processor time that is spent in it."""

    class Timed(inspection.GradientRecorder):
        spent = 0.0

        def on_before_optimizer_step(self, *arguments):
            begin = time.thread_time()
            super().on_before_optimizer_step(*arguments)
            self.spent += time.thread_time() - begin

        def on_train_batch_end(self, *arguments):
            begin = time.thread_time()
            super().on_train_batch_end(*arguments)
            self.spent += time.thread_time() - begin

    recorder = Timed()
    training = TrainingConfig(batch_size=64, max_epochs=1, batches_per_epoch=100)
    begin = time.thread_time()
    Forecaster(NetworkConfig(kind="lstm", hidden_size=64), HORIZON, CONTEXT, training).fit(
        make_series(0), callbacks=[recorder]
    )
    assert recorder.spent < 0.03 * (time.thread_time() - begin)


def test_the_codes_of_a_healthy_network_are_none(healthy):
    assert codes(healthy) == set()
