"""The lab: what it measures is right, verdicts follow from it and can fail, and the command teaches what it says."""

import json
import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from forecast import read_series
from forecast.datasets import load_pedestrian
from forecast.errors import ParameterError
from forecast.inspection import LearningCurve, LearningRateReading, sample_windows
from forecast.loss import batch_loss
from forecast.table import SeriesTable
from pipelines.lab import depth, learning_rate, memory, one_batch, optimizers, outputs, overfitting
from pipelines.lab.experiment import Experiment, share_in_words
from pipelines.lab.networks import BARE, settings, untrained
from pipelines.lab.report import LAB, REPORT, formula_html, summary, write
from pipelines.lab.run import EXPERIMENTS, check_names
from tests.conftest import run_forecast
from tests.test_docs import blocks

DOCS = (Path(__file__).parents[2] / "docs" / "lab.md").read_text()
BRIEF = {"epochs": 1, "batches": 2}


@pytest.fixture(scope="module")
def table() -> SeriesTable:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # gaps, which the bundled series have
        return read_series(load_pedestrian())


@pytest.fixture(scope="module")
def signal(table: SeriesTable) -> memory.Signal:
    return memory.measure(table, context=48, hidden_size=16, seeds=2, windows=8, **BRIEF)


def curve(*losses: float) -> LearningCurve:
    return LearningCurve(np.array(losses), np.array(losses), np.full(len(losses), 0.1))


def test_the_plain_rnns_gradient_vanishes_and_open_gates_keep_it(signal: memory.Signal) -> None:
    verdict = memory.judge(signal)
    assert verdict.holds, str(verdict)
    assert signal.at(0) == pytest.approx(dict.fromkeys(memory.KINDS, 1.0))
    assert signal.at(24)[memory.RNN] < 1e-4 < 0.1 < signal.at(24)[memory.LSTM]
    assert set(signal.table()["stage"]) == {"start", "trained"}


def test_an_rnn_that_keeps_its_gradient_and_an_lstm_that_does_not_refute_the_claim(
    table: SeriesTable, signal: memory.Signal
) -> None:
    # A relu RNN starts with the identity as its recurrent matrix (Le et al. 2015): what is held stays.
    network = {**BARE, "kind": "rnn", "activation": "relu", "patch_length": 1, "hidden_size": 16}
    config = settings(table, network, {}, context_length=48)
    kept = memory.left(untrained(config), sample_windows(config, table, 8))[None]
    verdict = memory.judge(replace(signal, start={**signal.start, memory.RNN: kept}))
    assert not verdict.holds
    assert "the RNN's gradient does not vanish" in str(verdict)
    shut = {**signal.start, memory.LSTM: signal.start[memory.SHUT]}
    assert "the LSTM's gradient vanishes too" in memory.judge(replace(signal, start=shut)).because


def test_gates_start_open_for_the_longest_lag(table: SeriesTable) -> None:
    config = settings(table, {**BARE, "kind": "lstm", "patch_length": 1, "hidden_size": 64}, {}, context_length=48)
    recurrence = memory.textbook(untrained(config), True, 100, 0).encoder.recurrence
    left_in, forget = recurrence.bias_ih_l0[:64], recurrence.bias_ih_l0[64:128]
    torch.testing.assert_close(left_in, -forget)
    times = 1 / (1 - torch.sigmoid(forget))  # steps after which 1/e is left of what the cell holds, about
    assert 2 <= times.min() < 10
    assert 80 < times.max() <= 100


def test_a_dozen_sigmoids_starve_the_first_layer_and_two_do_not(table: SeriesTable) -> None:
    brief = {"hidden_size": 32, "seeds": 2, "windows": 16, **BRIEF}
    deep = depth.measure(table, layers=12, **brief)
    assert depth.judge(deep).holds, str(depth.judge(deep))
    assert deep.share()[depth.SIGMOID] < 1e-4
    assert deep.share()[depth.LARGER] > 100 * deep.share()[depth.SIGMOID]
    verdict = depth.judge(depth.measure(table, layers=2, **brief))
    assert not verdict.holds
    assert verdict.because.startswith("sigmoids do not starve the first layer: the first of 2 layers")


def test_a_rate_is_too_low_good_or_too_high(table: SeriesTable) -> None:
    regimes = learning_rate.measure(table, rates=(1e-6, 1e-2, 1.0), hidden_size=16, epochs=1, batches=20, steps=40)
    assert learning_rate.judge(regimes).holds, str(learning_rate.judge(regimes))
    assert regimes.rates[regimes.best] == 0.01
    assert 1e-6 < regimes.reading.low < regimes.reading.high < 1
    assert len(regimes.table()) == 3


def test_rates_that_all_do_as_well_refute_the_claim_and_a_loss_that_explodes_does_not() -> None:
    reading = LearningRateReading(np.array([1e-3, 1e-1]), np.array([1.0, 0.5]), 1e-3, 1e-1, 1e-2, 1e-2)
    rates = np.array([1e-3, 1e-2, 1e-1])
    level = learning_rate.Regimes(rates, (curve(1, 0.51), curve(1, 0.5), curve(1, 0.52)), reading)
    verdict = learning_rate.judge(level)
    assert not verdict.holds
    assert "0.001, is not too low and the highest rate, 0.1, is not too high" in verdict.because
    exploded = replace(level, curves=(curve(1, 0.9), curve(1, 0.5), None))
    assert learning_rate.judge(exploded).holds
    assert learning_rate.judge(exploded).because.endswith("no number any more with 0.1")
    assert len(learning_rate.pictures(exploded)) == 2


def test_sgd_stands_still_at_the_others_rates_or_the_claim_is_refuted(table: SeriesTable) -> None:
    slow, quick = (curve(1, 0.9), curve(1, 0.4)), (curve(1, 0.45), curve(1, 0.5))
    race = optimizers.Race(np.array([1e-3, 1e-1]), {"sgd": slow, "adam": quick, "rmsprop": quick})
    assert optimizers.judge(race).holds
    alike = replace(race, curves={**race.curves, "sgd": quick})
    verdict = optimizers.judge(alike)
    assert not verdict.holds
    assert "SGD learns at a rate of 0.001 as well and SGD's best rate is not 10 times" in verdict.because
    measured = optimizers.measure(table, rates=(1e-3,), hidden_size=8, **BRIEF)
    assert not optimizers.judge(measured).holds  # after two steps none is ahead
    assert len(measured.table()) == 3


def test_remedies_help_in_every_training_or_the_claim_is_refuted() -> None:
    falling, rising, better = [[3.0, 2.0, 1.0]] * 2, [[3.0, 2.0, 4.0], [3.0, 1.5, 3.0]], [[3.0, 2.5, 2.0]] * 2
    ways = (overfitting.NOTHING, overfitting.DROPOUT, overfitting.DECAY)
    unseen = {name: np.array(losses) for name, losses in zip(ways, (rising, better, better), strict=True)}
    found = overfitting.Remedies({name: np.array(falling) for name in ways}, unseen, unseen, 1000, 100)
    assert overfitting.judge(found).holds
    np.testing.assert_allclose(found.end()[overfitting.STOPPING], [2.0, 1.5])
    assert found.rise == 2.0
    worse = np.array([[3.0, 2.5, 2.0], [3.0, 3.0, 3.5]])
    verdict = overfitting.judge(replace(found, unseen={**unseen, overfitting.DROPOUT: worse}))
    assert verdict.because.startswith("dropout does not help in every training: on unseen weeks")
    assert not verdict.holds


def test_a_training_too_short_to_overfit_is_told(table: SeriesTable) -> None:
    found = overfitting.measure(table, hidden_size=16, seeds=1, epochs=2, batches=2)
    verdict = overfitting.judge(found)
    assert not verdict.holds
    assert "the network does not overfit" in verdict.because
    assert found.values == 24 * 24
    assert found.unseen[overfitting.DROPOUT].shape == (1, 2)
    assert len(overfitting.pictures(found)) == 2


@pytest.fixture(scope="module")
def batch(table: SeriesTable) -> one_batch.OneBatch:
    return one_batch.measure(table, kinds=("feedforward", "cnn", "lstm"), hidden_size=8, windows=8)


def test_backpropagation_gives_the_slopes_that_trying_out_shows(batch: one_batch.OneBatch) -> None:
    verdict = one_batch.judge(batch)
    assert verdict.holds, str(verdict)
    np.testing.assert_allclose(batch.backward["slope"], batch.backward["gradient"], rtol=1e-3)
    lstm = batch.backward[batch.backward["network"] == "LSTM"]
    assert list(lstm["layer"]) == ["embedding", "recurrence", "decoder", "mixing", "head"]
    convolutions = batch.forward.loc[batch.forward["network"] == "CNN", "layer"]
    assert {"block 1, convolution 1", "block 3, activation 2"} <= set(convolutions)


def test_a_wrong_slope_a_cut_off_layer_and_a_step_upwards_refute_the_claim(batch: one_batch.OneBatch) -> None:
    wrong = batch.backward.assign(slope=batch.backward["slope"] * 1.01)
    assert "differs by 1.0%" in one_batch.judge(replace(batch, backward=wrong)).because
    dead = batch.forward.assign(deviation=0.0)
    assert "head of the LSTM says nothing" in one_batch.judge(replace(batch, forward=dead)).because
    verdict = one_batch.judge(replace(batch, loss={**batch.loss, "LSTM": (0.2, 0.3)}))
    assert not verdict.holds
    assert verdict.because.startswith("the step does not lower the LSTM's loss:")


def test_a_step_against_the_gradient_leaves_the_network_as_it_is(table: SeriesTable) -> None:
    config = settings(table, {"kind": "rnn", "hidden_size": 8}, {}, calendar=True)
    network, windows = untrained(config), sample_windows(config, table, 8)
    before = float(batch_loss(network, windows, "window")[0].detach())
    assert one_batch.loss_after_step(network, windows) < before
    assert float(batch_loss(network, windows, "window")[0].detach()) == before


def test_each_output_is_best_at_what_it_was_asked_for_or_the_claim_is_refuted() -> None:
    # What comes is lognormal, twice as wide in the second half: the mean, the median and the quantiles are known.
    noise = np.random.default_rng(0).standard_normal((4000, 24))
    width = np.repeat([0.5, 1.0], 2000)[:, None]
    normal = np.broadcast_to([-1.2816, 0, 1.2816], (4000, 24, 3))
    quantiles, mean = np.exp(normal * width[..., None]), np.broadcast_to(np.exp(width**2 / 2), (4000, 24))
    hour = np.tile(np.arange(24.0), (4000, 1))
    found = outputs.Outputs(
        np.exp(noise * width), mean, mean * 1.1, quantiles, hour, np.ones((24, 3)), np.ones((24, 2)), 0, "a"
    )
    assert outputs.judge(found).holds, str(outputs.judge(found))
    assert found.coverage == pytest.approx(0.8, abs=0.01)
    narrow = replace(found, quantiles=np.exp(normal * width[..., None] / 3))
    assert "80 % interval does not hold 80 %" in outputs.judge(narrow).because
    assert not outputs.judge(replace(found, mean=mean * 2)).holds


def test_bins_and_mean_forecast_hours_that_neither_saw(table: SeriesTable) -> None:
    found = outputs.measure(table, hidden_size=16, windows=40, **BRIEF)
    assert found.probability.sum(1) == pytest.approx(np.ones(24))
    assert (np.diff(found.edges, axis=1) > 0).all()
    assert (np.diff(found.quantiles, axis=-1) >= 0).all()
    assert set(found.hour.ravel()) == set(range(24))
    assert len(outputs.pictures(found)) == 2
    assert len(found.table()) == 40 * 24


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.58, "58 %"),
        (0.034, "3.4 %"),
        (1 / 35e6, "1 part in 35 million"),
        (2.7, "2.7 times as much"),
        (1.0, "100 %"),
        (1e-20, "1 part in 10^20"),
        (0.0, "nothing"),
    ],
)
def test_shares_are_told_in_words(share: float, words: str) -> None:
    assert share_in_words(share) == words


def test_formulas_have_indices_primes_and_minus_signs() -> None:
    shown = formula_html("f'(a_l) h_{t-1} < a^k")
    assert shown == "f\N{PRIME}(a<sub>l</sub>) h<sub>t\N{MINUS SIGN}1</sub> &lt; a<sup>k</sup>"
    assert formula_html("cross-entropy = -x") == "cross-entropy = \N{MINUS SIGN}x"


def test_an_unknown_experiment_is_named_with_the_nearest() -> None:
    assert check_names(["outputs", "depth"]) == ["depth", "outputs"]
    assert check_names([]) == list(EXPERIMENTS)
    with pytest.raises(ParameterError, match="did you mean 'memory'"):
        check_names(["memroy"])


def test_the_folder_holds_page_numbers_and_tables_and_is_written_whole_or_not_at_all(
    tmp_path: Path, batch: one_batch.OneBatch
) -> None:
    one = Experiment(
        one_batch.LESSON,
        one_batch.judge(batch),
        batch.summary(),
        {"backward": batch.backward},
        one_batch.pictures(batch),
    )
    write({"one-batch": one}, tmp_path / "lab")
    page = (tmp_path / "lab" / REPORT).read_text()
    assert len(re.findall(r'id="picture-\d"', page)) == 2
    outside = re.sub(r"(<script[^>]*>).*?</script>", r"\1", page, flags=re.DOTALL)
    assert not re.search(r"<script[^>]*src|<(link|img|iframe)\b", outside)  # it opens offline
    assert one.verdict.because in page.replace("&#x27;", "'")
    assert json.loads((tmp_path / "lab" / LAB).read_text()) == summary({"one-batch": one})
    assert len(pd.read_parquet(tmp_path / "lab" / "one-batch-backward.parquet")) == len(batch.backward)
    broken = replace(one, tables={"odd": pd.DataFrame({"a": [object()]})})
    with pytest.raises(Exception, match="object"):
        write({"one-batch": broken}, tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["lab"]


def test_the_command_prints_json_alone_and_refuses_a_folder_in_use(tmp_path: Path) -> None:
    done = run_forecast(tmp_path, "lab", "--only", "one-batch", "--json", "--output", "seen")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert list(printed["experiments"]) == ["one-batch"]
    assert printed["experiments"]["one-batch"]["holds"] is True
    assert printed == json.loads((tmp_path / "seen" / LAB).read_text())
    again = run_forecast(tmp_path, "lab", "--only", "one-batch", "--output", "seen")
    assert (again.returncode, "name a new folder" in again.stderr) == (2, True)


def test_the_guide_tells_every_claim_and_where_it_is_measured() -> None:
    for name in EXPERIMENTS:
        assert f"`{name}`" in DOCS
    lessons = (one_batch, memory, depth, learning_rate, optimizers, overfitting, outputs)
    text = " ".join(DOCS.split())
    for module in lessons:
        assert module.LESSON.claim in text


@pytest.mark.slow
def test_the_whole_lab_as_the_guide_runs_it(tmp_path: Path) -> None:
    for command in "".join(blocks("bash", DOCS)).strip().splitlines():
        done = run_forecast(tmp_path, *command.split("#")[0].split()[1:])
        assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "lab" / LAB).read_text())
    assert list(found["experiments"]) == list(EXPERIMENTS)
    refuted = {name: one["because"] for name, one in found["experiments"].items() if not one["holds"]}
    assert not refuted
    page = (tmp_path / "lab" / REPORT).read_text()
    assert len(re.findall(r'id="picture-\d+"', page)) == 2 * len(EXPERIMENTS)
    assert (tmp_path / "depth" / "depth-gradients.parquet").exists()
