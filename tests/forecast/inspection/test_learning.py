import json

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback

from forecast import Forecaster, NetworkConfig, TrainingConfig, inspection, learning_rate_range_test
from forecast.auto import resolve
from forecast.inspection.sample import WINDOWS
from forecast.loss import batch_loss
from forecast.lr_range import LearningRateRange
from forecast.networks import Ensemble
from forecast.networks.shortcut import seasonal_shortcut
from tests.forecast.inspection.faults import CONTEXT, HORIZON, make_series

SMALL = NetworkConfig(kind="lstm", hidden_size=8)


@pytest.fixture(scope="module")
def trained(series):
    recorder, hand = inspection.GradientRecorder(every=2), ByHand()
    training = TrainingConfig(batch_size=32, max_epochs=2, batches_per_epoch=10, gradient_clip=0.055)
    model = Forecaster(SMALL, HORIZON, CONTEXT, training).fit(series, callbacks=[recorder, hand])
    return model, recorder, hand


class ByHand(Callback):
    """What a recorder should see, the plain way."""

    def __init__(self):
        self.gradients, self.before, self.updates = [], {}, []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.gradients.append({name: one.grad.clone() for name, one in pl_module.network.named_parameters()})
        self.before = {name: one.detach().clone() for name, one in pl_module.network.named_parameters()}

    def on_train_batch_end(self, trainer, pl_module, *_):
        now = dict(pl_module.network.named_parameters())
        self.updates.append({name: now[name].detach() - one for name, one in self.before.items()})


def test_the_recorder_sees_gradients_and_updates_as_they_were(trained):
    _, recorder, hand = trained
    (found,) = recorder.trainings
    assert found.step.tolist() == list(range(0, 20, 2))
    for place, step in enumerate(found.step):
        for group, name in enumerate(found.groups):
            for norm, seen in ((found.gradient_norm, hand.gradients), (found.update_norm, hand.updates)):
                own = [one for key, one in seen[step].items() if key.rpartition(".")[0] == name]
                expected = float(torch.cat([one.flatten() for one in own]).norm())
                assert norm[place, group] == pytest.approx(expected, rel=1e-4, abs=1e-9)
        whole = torch.cat([one.flatten() for one in hand.gradients[step].values()]).norm()
        assert found.clipped[place] == (whole > 0.055)
    assert 0 < found.clipped_share < 1
    np.testing.assert_allclose(found.update_ratio, found.update_norm / found.weight_norm)
    assert 1e-4 < found.summary()["update_ratio"] < 0.1


def test_the_recorder_does_not_change_the_training(trained, series):
    model, _, _ = trained
    again = Forecaster(SMALL, HORIZON, CONTEXT, model.config.training).fit(series)
    for one, other in zip(model.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_training_cut_off_and_resumed_has_been_seen_whole(series, tmp_path, trained):
    model, whole, _ = trained

    class Stop(Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == 1:
                raise KeyboardInterrupt

    forecaster = Forecaster(SMALL, HORIZON, CONTEXT, model.config.training)
    with pytest.raises(KeyboardInterrupt):
        forecaster.fit(series, [inspection.GradientRecorder(every=2), Stop()], checkpoints=tmp_path)
    recorder = inspection.GradientRecorder(every=2)
    forecaster.fit(series, [recorder], checkpoints=tmp_path)
    (found,), (expected,) = recorder.trainings, whole.trainings
    np.testing.assert_array_equal(found.step, expected.step)
    np.testing.assert_allclose(found.gradient_norm, expected.gradient_norm, rtol=1e-5)
    np.testing.assert_allclose(found.update_norm, expected.update_norm, rtol=1e-4)


def test_each_member_of_an_ensemble_is_seen_by_itself(series):
    recorder = inspection.GradientRecorder()
    training = TrainingConfig(batch_size=16, max_epochs=1, batches_per_epoch=3)
    members = [{"network": {"kind": "gru"}}, {"network": {"kind": "cnn"}, "context_length": 336}]
    model = Forecaster(SMALL, HORIZON, CONTEXT, training, members=members).fit(series, callbacks=[recorder])
    gru, cnn = recorder.trainings
    assert "encoder.recurrence" in gru.groups
    assert "encoder.blocks.0.layers.0" in cnn.groups
    found = inspection.inspect_model(model.config, model.network, series, model.history, recorder.trainings)
    assert [member.name for member in found.members] == ["1 gru", "2 cnn"]
    assert [member.field.context for member in found.members] == [168, 336]
    json.dumps(found.summary(), allow_nan=False)
    json.dumps(found.to_json(), allow_nan=False)
    tables = found.tables()
    assert set(tables["training"]["member"]) == {"1 gru", "2 cnn"}
    assert set(tables["gates"]["member"]) == {"1 gru"}


def test_a_learning_curve_is_read():
    history = [
        {"member": 1, "epoch": k, "train_loss": train, "val_loss": val, "learning_rate": 0.1}
        for k, (train, val) in enumerate([(1.0, 1.2), (0.6, 0.9), (0.4, 1.0), (0.2, 1.35)])
    ]
    other = {"member": 0, "epoch": 0, "train_loss": 3.0, "learning_rate": 0.1}
    first, curve = inspection.learning_curves([other, *history])
    assert (curve.best_epoch, curve.gap, curve.rise, curve.fall) == pytest.approx((1, 0.5, 0.5, 0.8))
    assert np.isnan(first.val_loss).all()
    assert first.summary()["gap"] is None
    assert list(curve.table().columns) == ["epoch", "train_loss", "val_loss", "learning_rate"]


@pytest.mark.parametrize(("rate", "verdict"), [(1e-5, "too low"), (5e-3, "good"), (0.5, "too high")])
def test_a_range_test_is_read(rate, verdict):
    rates = np.geomspace(1e-6, 1, 61)
    losses = 1 - 0.5 / (1 + (1e-3 / rates) ** 2) + (rates / 0.2) ** 2
    found = inspection.read_learning_rate(LearningRateRange(rates, losses, 0.003), rate)
    assert found.verdict == verdict
    assert 5e-5 < found.low < 1e-3 < found.high < 0.1
    assert set(found.table()["zone"]) == {"too low", "good", "too high"}


def test_a_real_range_test_finds_the_usual_rate_good(series):
    config = Forecaster(SMALL, HORIZON, CONTEXT, TrainingConfig(batch_size=32)).config
    test = learning_rate_range_test(config, series, steps=60)
    assert inspection.read_learning_rate(test, 4e-3).verdict == "good"
    assert inspection.read_learning_rate(test, 4e-6).verdict == "too low"


def test_optimizers_start_from_the_same_weights_and_all_learn(series):
    config = Forecaster(
        SMALL, HORIZON, CONTEXT, TrainingConfig(batch_size=32, max_epochs=2, batches_per_epoch=10)
    ).config
    found = inspection.compare_optimizers(config, series)
    assert list(found.curves) == ["sgd", "adam", "rmsprop"]
    assert len({tuple(curve.val_loss) for curve in found.curves.values()}) == 3
    assert all(curve.val_loss[-1] < curve.val_loss[0] for curve in found.curves.values())
    still = inspection.compare_optimizers(config, series, {"sgd": 1e-12, "adam": 1e-12})
    sgd, adam = still.curves.values()
    np.testing.assert_allclose(sgd.train_loss, adam.train_loss, rtol=1e-4)
    assert len(found.table()) == 6


def test_the_landscape_is_the_loss_of_weights_moved_filter_by_filter(make, kind):
    network, _, batch = make(kind)
    found = inspection.loss_landscape(network, batch, points=5, reach=0.5)
    loss, _ = batch_loss(network, batch, "window")
    assert found.loss[2, 2] == pytest.approx(float(loss.detach()), rel=1e-5)
    assert found.along.tolist() == [-0.5, -0.25, 0, 0.25, 0.5]
    assert len(np.unique(found.loss)) > 20
    from forecast.inspection.landscape import _direction

    for name, weight in network.named_parameters():
        drawn = _direction(weight.detach(), torch.Generator().manual_seed(0))
        if weight.dim() < 2:
            assert (drawn == 0).all(), name
        else:
            own = weight.detach().flatten(1).norm(dim=1)
            torch.testing.assert_close(drawn.flatten(1).norm(dim=1), own, rtol=1e-4, atol=1e-6)


def test_a_trained_network_lies_in_a_hollow(trained, series):
    model, _, _ = trained
    found = inspection.loss_landscape(
        model.network.members[0], inspection.sample_windows(model.config, series), points=5
    )
    assert found.sharpness > 0
    assert found.loss[2, 2] < found.loss[[0, 0, -1, -1], [0, -1, 0, -1]].min()


def test_performance_by_hand(trained, series):
    model, _, _ = trained
    network, batch = model.network.members[0], inspection.judged_windows(model.config, series)
    found = inspection.performance(network, batch)
    with torch.no_grad():
        quantiles = network(batch.context, batch.observed, batch.known, batch.static).double()
    size = batch.context.double().std(1, correction=0)
    np.testing.assert_allclose(found.error, ((batch.target - quantiles[..., 6]).abs().mean(1) / size), rtol=1e-3)
    naive = []
    for season in network.shortcuts:
        mean = batch.context.mean(1, keepdim=True)
        forecast = seasonal_shortcut(batch.context, batch.observed, season, HORIZON, mean)
        naive.append(float(((batch.target - forecast).abs().mean(1) / size).mean()))
    assert found.seasonal_error.mean() == pytest.approx(min(naive), rel=1e-4)
    inside = (batch.target >= quantiles[..., 2]) & (batch.target <= quantiles[..., 10])
    assert found.coverage == pytest.approx(float(inside.double().mean()), abs=1e-3)
    assert found.nominal == pytest.approx(0.8)
    assert found.flatness == pytest.approx(
        float(
            (quantiles[..., 6].std(1, correction=0) / size).sum()
            / (batch.target.double().std(1, correction=0) / size).sum()
        ),
        rel=1e-3,
    )
    assert found.pattern > 0.3  # a day and a week, under noise


def test_constant_and_unknown_windows_do_not_count(make):
    network, _, batch = make("gru")
    context = batch.context.clone()
    context[0] = 7
    seen = batch.target_observed.clone()
    seen[1] = False
    found = inspection.performance(network, batch._replace(context=context, target_observed=seen))
    assert len(found.error) == len(batch.context) - 2
    assert np.isfinite(found.error).all()
    nothing = inspection.performance(network, batch._replace(context=torch.full_like(context, 7)))
    assert len(nothing.error) == 0
    assert nothing.summary()["naive_ratio"] is None
    json.dumps(nothing.summary(), allow_nan=False)


def test_windows_are_taken_from_all_series_and_the_last_are_kept_to_judge(series):
    config = resolve(Forecaster(SMALL, HORIZON, CONTEXT).config, series)
    batch = inspection.sample_windows(config, series)
    assert batch.context.shape == (WINDOWS, CONTEXT)
    assert batch.observed.all()
    assert batch.target_observed.all()
    latest = inspection.latest_windows(config, series)
    np.testing.assert_array_equal(latest.context[0, -5:], series.values[series.lengths[0] - 5 : series.lengths[0]])
    assert not latest.target_observed.any()
    judged = inspection.judged_windows(config, series, count=5)
    assert judged.context.shape == (5, CONTEXT)
    np.testing.assert_array_equal(judged.target[0], series.values[: series.lengths[0]][-HORIZON:])


def test_an_ensemble_reads_the_longest_context_and_each_member_its_own(make):
    short, config, _ = make("lstm")
    assert isinstance(Ensemble([short], config.quantile_levels, "median", True), Ensemble)
    table = make_series(0, days=20)
    longer = inspection.sample_windows(config.model_copy(update={"context_length": 240}), table, 4)
    exact = longer._replace(
        context=longer.context[:, 72:], observed=longer.observed[:, 72:], known=longer.known[:, 72:]
    )
    np.testing.assert_array_equal(inspection.codes(short, longer), inspection.codes(short, exact))
