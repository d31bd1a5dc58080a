import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from forecast import ForecasterConfig, NetworkConfig, inspection, read_series
from forecast.auto import resolve
from forecast.config import CovariatesConfig
from forecast.saved import build_network
from forecast.windows import Batch
from tests.forecast.inspection.faults import CONTEXT, HORIZON

MEDIAN = 6  # of the thirteen levels


def first(batch, windows=3):
    return Batch(*(part[:windows] for part in batch))


@pytest.mark.parametrize("lead_time", [None, 5])
@pytest.mark.parametrize("scaling", ["standard", "mean-abs", "robust"])
def test_integrated_gradients_are_complete(make, kind, lead_time, scaling):
    network, _, batch = make(kind, scaling=scaling)
    with torch.no_grad():  # away from the first weights, under which next to nothing goes through the encoder
        network.head.linear.weight *= 10
        network.mixing.weight.normal_(0, 0.3)
    found = inspection.attribution(network, first(batch), lead_time)
    median = network(*first(batch)[:3], first(batch).static)[..., MEDIAN].detach()
    expected = median.mean(1) if lead_time is None else median[:, lead_time - 1]
    np.testing.assert_allclose(found.forecast, expected, rtol=1e-4)
    assert (found.completeness < 0.01).all()
    difference = found.forecast - found.baseline
    np.testing.assert_allclose(
        found.history.sum(1), difference, rtol=0.01, atol=0.01 * np.abs(found.history).sum(1).max()
    )
    assert (np.abs(difference) > 0.01).any()


def test_of_a_forecast_that_copies_yesterday_each_value_is_one_step_s_whole_reason(make):
    network, _, batch = make("lstm", shortcut=[24], transform="none")
    with torch.no_grad():
        network.head.linear.weight.zero_()
        network.head.linear.bias.zero_()
    batch = first(batch)
    found = inspection.attribution(network, batch, lead_time=5)
    expected = np.zeros((3, CONTEXT))
    expected[:, CONTEXT - 20] = (batch.context[:, CONTEXT - 20] - batch.context.mean(1)).numpy()
    np.testing.assert_allclose(found.history, expected, atol=1e-4)
    assert found.summary()["strongest_lag"] == 20
    # Without yesterday the day before stands in for it: what the masking check sees is their difference.
    lost = (batch.context[:, CONTEXT - 20] - batch.context[:, CONTEXT - 44]).numpy()
    np.testing.assert_allclose(found.masking[:, -1], lost, atol=1e-3)
    np.testing.assert_allclose(found.masking[:, :-1], 0, atol=1e-3)


def test_the_masking_check_is_a_forecast_without_the_patch(make, kind):
    network, _, batch = make(kind)
    batch = first(batch)
    found = inspection.attribution(network, batch)
    observed = batch.observed.clone()
    observed[:, 48:72] = False
    with torch.no_grad():
        whole, without = (
            network(batch.context, mask, batch.known, batch.static)[..., MEDIAN].mean(1)
            for mask in (batch.observed, observed)
        )
    np.testing.assert_allclose(found.masking[:, 2], whole - without, atol=1e-3)


def test_both_views_agree_where_they_rank_patches_alike():
    history = np.array([[1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0]])
    masking = np.array([[0.1, 0.2, 0.3, 0.9], [0.1, 0.2, 0.3, 0.9]])
    found = inspection.Attribution(history, history.sum(1), np.zeros(2), masking, 1)
    np.testing.assert_allclose(found.agreement, [1, -1])


def test_what_was_not_observed_explains_nothing(make, kind):
    network, _, batch = make(kind)
    batch = first(batch)
    observed = batch.observed.clone()
    observed[:, 100:120] = False
    found = inspection.attribution(network, batch._replace(observed=observed))
    assert (found.history[:, 100:120] == 0).all()
    assert (found.completeness < 0.01).all()


@pytest.fixture(scope="module")
def with_covariates():
    """Daily sales with a price, a kind of day, visitors and a region."""
    random = np.random.default_rng(0)
    days = pd.date_range("2024-01-01", periods=200)
    frame = pd.DataFrame(
        {
            "item_id": np.repeat(["a", "b"], 200),
            "timestamp": np.tile(days, 2),
            "target": random.normal(10, 2, 400),
            "price": random.normal(5, 1, 400),
            "visitors": random.normal(100, 9, 400),
            "kind": random.choice(["plain", "sale", "shut"], 400),
            "region": np.repeat(["north", "south"], 200),
        }
    )
    covariates = CovariatesConfig(known=("price", "kind"), past=("visitors",), static=("region",))
    table = read_series(frame, covariates=covariates)
    config = resolve(
        ForecasterConfig(
            prediction_length=7,
            context_length=28,
            network=NetworkConfig(kind="gru", hidden_size=8),
            covariates=covariates,
        ),
        table,
    )
    torch.manual_seed(0)
    return build_network(config).eval(), config, inspection.sample_windows(config, table, 4)


def test_what_each_covariate_did_is_a_forecast_without_it(with_covariates):
    network, config, batch = with_covariates
    with torch.no_grad():
        network.head.linear.weight *= 10
    found = inspection.covariate_effects(network, config, batch)
    assert found.names == ("calendar", "price", "kind", "visitors", "region")
    assert found.effect.shape == (5, 4, 7)
    known = batch.known.clone()
    calendar = known.shape[-1] - 5  # price, three kinds, visitors
    known[..., calendar] = 0
    with torch.no_grad():
        whole, without = (
            network(batch.context, batch.observed, one, batch.static)[..., 6] for one in (batch.known, known)
        )
    np.testing.assert_allclose(found.effect[1], whole - without, atol=1e-5)
    assert (np.abs(found.effect).max((1, 2)) > 1e-4).all()
    with torch.no_grad():
        network.encoder.embedding.weight.view(8, config.network.patch_length, -1)[..., -1] = 0  # visitors, in the past
    silent = inspection.covariate_effects(network, config, batch)
    np.testing.assert_allclose(silent.effect[3], 0, atol=1e-6)


def test_a_covariate_that_the_decoder_alone_reads_works_at_its_step(with_covariates):
    network, config, batch = with_covariates
    found = inspection.covariate_effects(network, config, batch).table()
    assert list(found.columns) == ["covariate", "window", "lead_time", "effect"]
    assert len(found) == 5 * 4 * 7


def test_without_covariates_only_the_calendar_counts(make):
    network, config, batch = make("cnn")
    assert inspection.covariate_effects(network, config, batch).names == ("calendar",)
    undated = config.model_copy(update={"calendar": False})
    bare = batch._replace(known=batch.known[..., :0])
    torch.manual_seed(0)
    assert inspection.covariate_effects(build_network(undated), undated, bare).effect.shape == (0, 8, HORIZON)


def repeating(hours=24 * 80):
    """One series that is the same every ten days, without noise."""
    period = np.random.default_rng(0).normal(size=240).cumsum()
    times = pd.date_range("2024-01-01", periods=hours, freq="h")
    return read_series(pd.DataFrame({"item_id": "a", "timestamp": times, "target": np.resize(period, hours)}))


def undated(make, kind, table):
    _, config, _ = make(kind)
    config = resolve(
        ForecasterConfig(prediction_length=HORIZON, context_length=CONTEXT, calendar=False, network=config.network),
        table,
    )
    torch.manual_seed(0)
    return build_network(config).eval(), config


def test_the_windows_found_are_those_in_which_the_same_had_come_before(make, kind):
    table = repeating()
    network, config = undated(make, kind, table)
    found = inspection.similar_windows(network, config, table, count=3)
    end = 24 * 80
    before = end - found.origin
    assert (before % 240 == 0).all()
    assert len(set(before)) == 3
    np.testing.assert_allclose(found.distance, 0, atol=1e-4)
    period = table.values[:240]
    np.testing.assert_allclose(found.followed, np.tile(period[:HORIZON], (3, 1)))
    np.testing.assert_allclose(found.analogue, found.followed, rtol=1e-4, atol=1e-4)
    assert found.time == pd.Timestamp("2024-01-01") + pd.Timedelta(hours=end)
    assert list(found.times) == [found.time - pd.Timedelta(hours=int(hours)) for hours in before]


def test_nothing_that_follows_is_later_than_the_window_asked_about(make):
    table = repeating()
    network, config = undated(make, "lstm", table)
    found = inspection.similar_windows(network, config, table, origin=900, count=100)
    assert len(found.origin) > 10
    assert (found.origin + HORIZON <= 900).all()
    gaps = np.abs(found.origin[:, None] - found.origin) + HORIZON * np.eye(len(found.origin))
    assert (gaps >= HORIZON).all()
    assert (np.diff(found.distance) >= 0).all()


def test_a_series_too_short_has_no_similar_windows(make):
    table = repeating(hours=40)
    network, config = undated(make, "gru", repeating())
    found = inspection.similar_windows(network, config, table)
    assert found.origin.shape == (0,)
    assert found.followed.shape == (0, HORIZON)
    assert found.summary()["similar"] == []
    assert found.table().empty


def test_captum_and_matplotlib_are_loaded_only_when_asked_for():
    code = (
        "import sys; from forecast import inspection; inspection.attribution, inspection.inspect_model; "
        "print(sorted({'captum', 'matplotlib', 'pytorch_lightning'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
