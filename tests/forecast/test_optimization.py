import numpy as np
import pandas as pd
import pytest
import torch
from torch import optim

from forecast import Forecaster, NetworkConfig, TrainingConfig
from forecast.optimization import (
    PLATEAU_EPOCHS,
    PLATEAU_FACTOR,
    WARM_UP,
    build_optimizer,
    build_schedule,
    cosine,
    one_cycle,
)

SMALL = NetworkConfig(kind="feedforward", hidden_size=8)


def optimizer_of(**settings):
    parameter = torch.nn.Parameter(torch.ones(1))
    return build_optimizer([parameter], TrainingConfig.build(learning_rate=0.1, **settings)), parameter


@pytest.mark.parametrize(
    ("settings", "kind", "expected"),
    [
        ({}, optim.AdamW, {"lr": 0.1, "weight_decay": 0.01}),
        ({"weight_decay": 0.0}, optim.AdamW, {"weight_decay": 0}),
        ({"optimizer": "adam"}, optim.Adam, {"lr": 0.1, "weight_decay": 0, "decoupled_weight_decay": False}),
        ({"optimizer": "sgd"}, optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0}),
        ({"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.5}, optim.SGD, {"momentum": 0, "weight_decay": 0.5}),
        ({"optimizer": "rmsprop"}, optim.RMSprop, {"lr": 0.1, "momentum": 0, "weight_decay": 0}),
        ({"optimizer": "rmsprop", "momentum": 0.5}, optim.RMSprop, {"momentum": 0.5}),
    ],
)
def test_an_optimizer_has_the_settings_it_was_given_or_those_that_suit_it(settings, kind, expected):
    optimizer, _ = optimizer_of(**settings)
    assert type(optimizer) is kind
    assert {name: optimizer.defaults[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("settings", "first", "second"),
    [
        ({"optimizer": "sgd"}, 1 - 0.1 * 2, 0.8 - 0.1 * (2 + 0.9 * 2)),
        ({"optimizer": "sgd", "momentum": 0.0}, 0.8, 0.6),
        ({"optimizer": "adam"}, 0.9, 0.8),
        ({"weight_decay": 0.5}, 1 - 0.1 * 0.5 - 0.1, 0.85 * 0.95 - 0.1),
        ({"optimizer": "rmsprop"}, 1 - 0.1 / 0.01**0.5, 0 - 0.1 / (0.01 * 1.99) ** 0.5),
    ],
)
def test_two_steps_worked_out_by_hand(settings, first, second):
    optimizer, parameter = optimizer_of(**settings)
    for expected in (first, second):
        parameter.grad = torch.full_like(parameter, 2)
        optimizer.step()
        assert parameter.item() == pytest.approx(expected, abs=1e-6)


def test_one_cycle_rises_then_falls_to_nothing():
    rates = [one_cycle(step / 100) for step in range(101)]
    top = round(100 * WARM_UP)
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[top] == pytest.approx(1, abs=0.01)
    assert rates[0] > 0
    assert rates[-1] == pytest.approx(0, abs=1e-9)


def test_a_cosine_falls_from_the_start():
    assert [round(cosine(progress), 6) for progress in (0, 0.25, 0.5, 1)] == [1, 0.853553, 0.5, 0]


@pytest.mark.parametrize(("schedule", "factor"), [("one-cycle", one_cycle), ("cosine", cosine)])
def test_a_schedule_follows_the_progress_whatever_the_step(schedule, factor):
    optimizer, _ = optimizer_of(schedule=schedule)
    progress = 0.0
    scheduler = build_schedule(optimizer, TrainingConfig(schedule=schedule), lambda: progress, "val_loss")["scheduler"]
    for progress in (0.1, 0.1, 0.7):
        optimizer.step()
        scheduler.step()
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * factor(progress))


def test_cosine_anneals_a_whole_training(table):
    training = TrainingConfig(batch_size=16, max_epochs=4, batches_per_epoch=5, schedule="cosine")
    history = Forecaster(SMALL, 24, 168, training).fit(table).history
    # Logged after the epoch's last step, whose rate is the next step's.
    expected = [training.learning_rate * cosine(epoch / 4) for epoch in (1, 2, 3, 4)]
    assert [entry["learning_rate"] for entry in history] == pytest.approx(expected)


def test_plateau_lowers_the_rate_when_the_validation_loss_stalls(table):
    """With steps too small to matter no epoch is better than the first."""
    training = TrainingConfig(
        batch_size=4, max_epochs=8, batches_per_epoch=1, schedule="plateau", optimizer="sgd", learning_rate=1e-6
    )
    history = Forecaster(SMALL, 24, 168, training).fit(table).history
    drops = [round(entry["learning_rate"] / 1e-6, 6) for entry in history]
    assert PLATEAU_EPOCHS == 3
    assert drops == [1] * 4 + [PLATEAU_FACTOR] * 3 + [PLATEAU_FACTOR**2]


@pytest.mark.parametrize(
    ("optimizer", "learning_rate"), [("adamw", 1e-2), ("adam", 1e-2), ("sgd", 1.0), ("rmsprop", 2e-3)]
)
def test_every_optimizer_learns(optimizer, learning_rate):
    noise = np.random.default_rng(0).normal(size=600)
    wave = pd.Series(10 * np.sin(2 * np.pi * np.arange(600) / 24) + noise)
    network = NetworkConfig(kind="feedforward", hidden_size=16, shortcut=0, patch_length=24)  # starts from the mean
    training = TrainingConfig(
        batch_size=32, max_epochs=5, batches_per_epoch=20, optimizer=optimizer, learning_rate=learning_rate
    )
    history = Forecaster(network, 24, 48, training).fit(wave).history
    assert history[-1]["val_loss"] < 0.2  # the mean alone: 0.6 of a standard deviation
