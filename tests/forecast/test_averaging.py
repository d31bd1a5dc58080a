import pytest
import torch
from pytorch_lightning.callbacks import Callback

from forecast.auto import resolve
from forecast.training import train


class Watch(Callback):
    """Notes the weights after each step, and those each epoch is validated with."""

    def __init__(self):
        self.steps, self.validated = [], []

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.steps.append(weights_of(pl_module.network))

    def on_validation_end(self, trainer, pl_module):
        self.validated.append(weights_of(pl_module.network))


def weights_of(network):
    return torch.cat([parameter.detach().flatten().clone() for parameter in network.parameters()])


def train_watched(untrained, table, share):
    config = resolve(untrained.config, table)
    training = config.training.model_copy(update={"weight_averaging": share, "max_epochs": 4})
    watch = Watch()
    network, history = train(config.model_copy(update={"training": training}), table, [watch])
    return network, history, watch


def test_the_mean_of_the_last_steps_is_validated_and_kept(untrained, table):
    network, history, watch = train_watched(untrained, table, 0.45)
    assert len(watch.steps) == 40
    for epoch, (first, last) in enumerate([(9, 10), (19, 20), (22, 30), (22, 40)]):
        expected = torch.stack(watch.steps[first:last]).mean(0)
        torch.testing.assert_close(watch.validated[epoch], expected, msg=f"epoch {epoch}")
    best = min(history, key=lambda entry: entry["val_loss"])["epoch"]
    assert torch.equal(weights_of(network), watch.validated[int(best)])


def test_averaging_does_not_disturb_the_training(untrained, table):
    plain, averaged = train_watched(untrained, table, 0.0)[2], train_watched(untrained, table, 0.45)[2]
    assert all(map(torch.equal, plain.steps, averaged.steps))
    assert not torch.equal(plain.validated[-1], averaged.validated[-1])


def test_left_out_the_last_weights_are_validated(untrained, table):
    watch = train_watched(untrained, table, 0.0)[2]
    assert [torch.equal(one, watch.steps[10 * epoch + 9]) for epoch, one in enumerate(watch.validated)] == [True] * 4


def test_a_time_limit_does_not_leave_the_average_out(untrained, table):
    config = resolve(untrained.config, table)
    endless = {"weight_averaging": 0.5, "max_epochs": 10_000, "batches_per_epoch": 10_000, "max_minutes": 1 / 60}
    config = config.model_copy(update={"training": config.training.model_copy(update=endless)})
    watch = Watch()
    network, _ = train(config, table, [watch])
    number = len(watch.steps)
    assert not torch.equal(weights_of(network), watch.steps[-1])
    distances = [(weights_of(network) - step).norm() for step in (watch.steps[number // 4], watch.steps[-1])]
    assert distances[1] < distances[0]
    assert weights_of(network).norm() == pytest.approx(float(watch.steps[-1].norm()), rel=0.1)
