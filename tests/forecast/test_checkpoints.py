"""A training that was cut off goes on, and ends as it would have."""

import pytest
import torch
from pytorch_lightning.callbacks import Callback

from forecast import Forecaster, NetworkConfig
from forecast.config import ForecasterConfig
from forecast.errors import ParameterError
from tests.forecast.conftest import HORIZON

NETWORK = {"kind": "gru", "hidden_size": 8, "dropout": 0.2}


class Cut(Callback):
    """Ends the training like a lost machine, once so many steps were done."""

    def __init__(self, steps):
        self.steps = steps

    def on_train_batch_end(self, *_):
        self.steps -= 1
        if self.steps < 0:
            raise ConnectionAbortedError


class Count(Callback):
    steps = 0

    def on_train_batch_end(self, *_):
        self.steps += 1


def make(training=None, **settings):
    quick = {"batch_size": 16, "max_epochs": 4, "batches_per_epoch": 5, **(training or {})}
    return ForecasterConfig.build(
        prediction_length=HORIZON, context_length=168, network=NETWORK, training=quick, **settings
    )


def weights(model):
    return {name: tensor.clone() for name, tensor in model.network.state_dict().items()}


@pytest.mark.parametrize(
    "training",
    [
        {},
        {"optimizer": "sgd", "momentum": 0.9, "schedule": "cosine", "learning_rate": 0.1},
        {"optimizer": "rmsprop", "schedule": "plateau", "learning_rate": 1e-9},
        {"optimizer": "adam", "weight_averaging": 0.7},
    ],
)
@pytest.mark.parametrize("steps", [3, 12, 19])
def test_a_training_cut_off_ends_with_the_same_weights(table, tmp_path, training, steps):
    config = make(training)
    whole = Forecaster.from_config(config).fit(table)
    with pytest.raises(ConnectionAbortedError):
        Forecaster.from_config(config).fit(table, [Cut(steps)], tmp_path)
    count = Count()
    resumed = Forecaster.from_config(config).fit(table, [count], tmp_path)
    assert count.steps == 20 - steps // 5 * 5  # whole epochs are not repeated
    assert resumed.history == whole.history
    for name, tensor in weights(whole).items():
        assert torch.equal(weights(resumed)[name], tensor), name


def test_an_ensemble_goes_on_with_the_member_it_was_at_and_then_with_the_refit(table, tmp_path):
    config = make(members=[{"training": {"schedule": "plateau"}}, {"network": {"kind": "cnn", "output": "mean"}}])
    history = table.drop_last(HORIZON)
    whole = Forecaster.from_config(config).fit(history)
    whole_again = whole.refit(table, held_back=1)
    with pytest.raises(ConnectionAbortedError):
        Forecaster.from_config(config).fit(history, [Cut(28)], tmp_path)
    count = Count()
    resumed = Forecaster.from_config(config).fit(history, [count], tmp_path)
    assert count.steps == 15  # of the second member
    with pytest.raises(ConnectionAbortedError):
        resumed.refit(table, 1, [Cut(8)], tmp_path)
    resumed_again = Forecaster.from_config(config).fit(history, checkpoints=tmp_path).refit(table, 1, (), tmp_path)
    for name, tensor in weights(whole_again).items():
        assert torch.equal(weights(resumed_again)[name], tensor), name


def test_a_finished_training_leaves_weights_and_no_state(table, tmp_path):
    Forecaster.from_config(make()).fit(table, checkpoints=tmp_path)
    assert sorted(path.name for path in (tmp_path / "fit").rglob("*") if path.is_file()) == [
        "config.json",
        "epochs.json",
        "network.safetensors",
    ]


def test_a_folder_of_another_training_is_refused(table, tmp_path):
    Forecaster.from_config(make()).fit(table, checkpoints=tmp_path)
    with pytest.raises(ParameterError, match="holds a training with other settings; name another folder"):
        Forecaster(NetworkConfig.build(**NETWORK), HORIZON, 168).fit(table, checkpoints=tmp_path)
