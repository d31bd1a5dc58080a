import math
import signal
import time

import pytest
import torch
from pytorch_lightning import Callback

from forecast import Forecaster, NetworkConfig, TrainingConfig
from forecast.auto import resolve
from forecast.datamodule import WindowsDataModule
from forecast.errors import TrainingError
from forecast.module import ForecastModule
from forecast.networks import Network
from forecast.training import train
from tests.forecast.conftest import QUICK

SMALL = NetworkConfig(kind="gru", hidden_size=8)


def test_a_time_limit_stops_training_in_time_with_a_good_model(table):
    training = TrainingConfig(batch_size=64, max_epochs=10_000, batches_per_epoch=10_000, max_minutes=3 / 60)
    started = time.monotonic()
    model = Forecaster(SMALL, 24, 168, training).fit(table)
    assert time.monotonic() - started < 15
    assert len(model.history) == 1
    assert model.history[0]["learning_rate"] < 0.05 * training.learning_rate  # annealed all the same
    assert model.history[0]["val_loss"] < 0.9  # of a standard deviation
    assert model.history[0]["train_loss"] < 1


def test_patience_ends_a_training_that_no_longer_improves(table):
    training = TrainingConfig(batch_size=4, max_epochs=50, batches_per_epoch=1, patience=2, learning_rate=1e-9)
    model = Forecaster(SMALL, 24, 168, training).fit(table)
    assert len(model.history) < 50


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_the_training_at_once_and_names_the_layer(table, monkeypatch, value):
    monkeypatch.setattr("forecast.outputs.pinball", lambda error, levels: error * value)
    with pytest.raises(TrainingError, match=r"in epoch 1, step 1: the loss is (nan|inf), .* 'head[^']*' was the first"):
        Forecaster(SMALL, 24, 168, QUICK).fit(table)


def test_a_gradient_that_goes_wrong_inside_is_named_by_its_layer(table):
    class Break(Callback):
        def on_after_backward(self, trainer, pl_module):
            for name, weights in pl_module.network.named_parameters():
                if trainer.global_step == 2 and name.startswith("encoder"):
                    weights.grad[...] = math.inf

    with pytest.raises(TrainingError, match=r"epoch 1, step 3: the loss is 0\.\d+, and the gradient of 'encoder"):
        Forecaster(SMALL, 24, 168, QUICK).fit(table, callbacks=[Break()])


def test_ctrl_c_is_a_keyboard_interrupt_and_stays_one(table):
    class Press(Callback):
        def on_train_batch_end(self, *_):
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            Forecaster(SMALL, 24, 168, QUICK).fit(table, callbacks=[Press()])
    assert signal.getsignal(signal.SIGINT) is before


def test_the_best_epoch_is_kept(table, untrained):
    config = resolve(untrained.config, table)
    network, history = train(config, table)
    data = WindowsDataModule(table, config)
    module = ForecastModule(network.eval(), config, 1)
    with torch.no_grad():
        losses, weights = map(torch.stack, zip(*map(module._loss, data.val_dataloader()), strict=True))
    mean = float((losses * weights).sum() / weights.sum())
    assert mean == pytest.approx(min(entry["val_loss"] for entry in history), rel=1e-3)


def test_the_loss_does_not_depend_on_what_is_not_observed(table, untrained):
    config = resolve(untrained.config, table)
    torch.manual_seed(0)
    module = ForecastModule(Network(config, 6).eval(), config, 1)
    batch = next(iter(WindowsDataModule(table, config).train_dataloader()))
    hidden = batch._replace(
        context=batch.context.masked_fill(~batch.observed, math.nan),
        target=batch.target.masked_fill(~batch.target_observed, math.nan),
    )
    assert not batch.observed.all()
    assert torch.equal(module._loss(hidden)[0], module._loss(batch)[0])
