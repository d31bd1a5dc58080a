"""Networks with a fault planted in them, and healthy ones; all tiny."""

import math
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from forecast import Forecaster, NetworkConfig, SeriesTable, TrainingConfig, inspection, read_series
from forecast.auto import resolve
from forecast.datamodule import WindowsDataModule
from forecast.datasets import load_pedestrian
from forecast.module import ForecastModule
from forecast.saved import build_network

KINDS = ["feedforward", "cnn", "rnn", "gru", "lstm"]
CONTEXT, HORIZON = 168, 24
QUICK = {"batch_size": 64, "max_epochs": 6, "batches_per_epoch": 20}


def make_series(seed: int, days: int = 60, number: int = 3) -> SeriesTable:
    """Hourly series with a day, a week and noise that dies away slowly."""
    random = np.random.default_rng(seed)
    hours = np.arange(24 * days)
    frames = []
    for name in range(number):
        day = np.sin(2 * np.pi * (hours + random.integers(24)) / 24) + 0.5 * np.sin(4 * np.pi * hours / 24)
        week = np.where(hours // 24 % 7 < 5, 1.0, random.uniform(0.3, 0.7))
        noise, last = np.empty(len(hours)), 0.0
        for step, shock in enumerate(random.normal(0, 0.25, len(hours))):
            noise[step] = last = 0.8 * last + shock
        target = 50 + 10 * (day * week + noise)
        times = pd.date_range("2024-01-01", periods=len(hours), freq="h")
        frames.append(pd.DataFrame({"item_id": str(name), "timestamp": times, "target": target}))
    return read_series(pd.concat(frames))


def fit(kind: str, seed: int, table: SeriesTable, hidden_size: int = 32, **training) -> tuple[Forecaster, list]:
    """A network trained by the usual settings, but for a short time, and what a recorder saw."""
    recorder = inspection.GradientRecorder()
    config = TrainingConfig(**QUICK, seed=seed).model_copy(update=training)
    network = NetworkConfig(kind=kind, hidden_size=hidden_size)
    model = Forecaster(network, HORIZON, CONTEXT)
    model.config = model.config.model_copy(update={"training": config})  # rates beyond all bounds too
    return model.fit(table, callbacks=[recorder]), recorder.trainings


def look(model: Forecaster, table: SeriesTable, network=None, history=(), trainings=()) -> inspection.Inspection:
    """Everything about a model's only network, or another in its place."""
    config = model.config
    batch, judged = inspection.sample_windows(config, table), inspection.judged_windows(config, table)
    curves = inspection.learning_curves(history)
    return inspection.inspect_network(
        network or model.network.members[0],
        batch,
        judged,
        config,
        curve=curves[0] if curves else None,
        training=trainings[0] if trainings else None,
    )


def with_spectral_radius(network, radius: float):
    """A recurrent network whose recurrent matrices have this spectral radius."""
    network = deepcopy(network)
    recurrence = network.encoder.recurrence
    with torch.no_grad():
        for layer in range(recurrence.num_layers):
            for gate in getattr(recurrence, f"weight_hh_l{layer}").split(recurrence.hidden_size):
                gate *= radius / torch.linalg.eigvals(gate).abs().max()
    return network


def with_dead_units(network, share: float, seed: int):
    """A network of ReLUs whose biases keep a share of the units of its first ReLU layer from ever answering."""
    network = deepcopy(network)
    generator = torch.Generator().manual_seed(seed)
    layers = [
        first
        for block in network.modules()
        if isinstance(block, nn.Sequential)
        for first, second in zip(block, list(block)[1:], strict=False)
        if isinstance(second, nn.ReLU)
    ]
    layer = layers[seed % len(layers)]
    units = torch.randperm(len(layer.bias), generator=generator)[: math.ceil(share * len(layer.bias))]
    with torch.no_grad():
        layer.bias[units] = -1e3
    return network


def with_forced_gate(network, gate: str, force: float):
    """An LSTM or GRU one of whose gates has a bias that forces it open, or shut where it is negative."""
    network = deepcopy(network)
    recurrence = network.encoder.recurrence
    names = ("input", "forget", "candidate", "output") if isinstance(recurrence, nn.LSTM) else ("reset", "update")
    place, size = names.index(gate), recurrence.hidden_size
    with torch.no_grad():
        recurrence.bias_ih_l0[place * size : (place + 1) * size] += force
    return network


def taught_constants(kind: str, seed: int, table: SeriesTable, steps: int = 240, kept: float = 0.0):
    """A network trained on targets that are their window's mean, or keep a share of what they were beside it."""
    model = Forecaster(NetworkConfig(kind=kind, hidden_size=32), HORIZON, CONTEXT, TrainingConfig(**QUICK, seed=seed))
    config = resolve(model.config, table)
    config = config.model_copy(
        update={"training": config.training.model_copy(update={"batches_per_epoch": steps, "max_epochs": 1})}
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build_network(config)
        module = ForecastModule(network, config, steps)
        optimizer = torch.optim.AdamW(network.parameters(), config.training.learning_rate)
        for batch in WindowsDataModule(table, config).train_dataloader():
            mean = (batch.context.sum(1) / batch.observed.sum(1)).unsqueeze(1)
            loss = module.training_loss(batch._replace(target=mean + kept * (batch.target - mean)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return Forecaster.from_networks(config, [network])


def data(seed: int, **shape) -> SeriesTable:
    """Made-up series for odd seeds; for even ones ninety days of the bundled counts, each seed another stretch."""
    if seed % 2 or shape:
        return make_series(seed, **shape)
    return _counts().drop_last(24 * 30 * (1 + seed // 2 % 10)).keep_last(24 * 90)


@cache
def _counts() -> SeriesTable:
    return read_series(load_pedestrian())


@cache
def healthy(kind: str, seed: int) -> tuple[Forecaster, list]:
    """A network of a kind trained by the usual settings."""
    return fit(kind, seed, data(seed))


def look_at_healthy(kind: str, seed: int) -> inspection.Inspection:
    model, trainings = healthy(kind, seed)
    return look(model, data(seed), history=model.history, trainings=trainings)


class Fault(NamedTuple):
    """A fault that can be planted.

    Attributes:
        code: The finding that must fire.
        severities: From mild to grave.
        plant: Seed and severity to what is seen of a network with the fault.
    """

    code: str
    severities: tuple[float, ...]
    plant: Callable[[int, float], inspection.Inspection]


def _small_radius(seed: int, radius: float) -> inspection.Inspection:
    model, _ = healthy("rnn", seed)
    return look(model, data(seed), with_spectral_radius(model.network.members[0], radius))


def _large_radius(seed: int, radius: float) -> inspection.Inspection:
    """Before training: afterwards a tanh RNN of radius 2 is saturated, and its gradients do not explode."""
    activation = "relu" if seed // 2 % 2 else "tanh"
    model = Forecaster(NetworkConfig(kind="rnn", hidden_size=32, activation=activation), HORIZON, CONTEXT)
    config = resolve(model.config, data(seed))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = with_spectral_radius(build_network(config), radius)
    return look(Forecaster.from_networks(config, [network]), data(seed))


def _dead(seed: int, share: float) -> inspection.Inspection:
    model, _ = healthy(("feedforward", "cnn")[seed // 2 % 2], seed)
    return look(model, data(seed), with_dead_units(model.network.members[0], share, seed))


def _forced(seed: int, force: float) -> inspection.Inspection:
    gates = (("lstm", "input"), ("lstm", "forget"), ("lstm", "output"), ("gru", "reset"), ("gru", "update"))
    kind, gate = gates[seed % 5]
    model, _ = healthy(kind, seed)
    return look(model, data(seed), with_forced_gate(model.network.members[0], gate, force))


def _rate(seed: int, factor: float) -> inspection.Inspection:
    model, trainings = fit(KINDS[seed % 5], seed, data(seed), learning_rate=4e-3 * factor)
    return look(model, data(seed), history=model.history, trainings=trainings)


def _fifty_windows(seed: int, hidden_size: float) -> inspection.Inspection:
    table = make_series(seed, number=5).keep_last(81)  # ten windows of each series, one more to validate on
    model, trainings = fit(KINDS[seed % 5], seed, table, int(hidden_size), max_epochs=10, batch_size=32)
    return look(model, table, history=model.history, trainings=trainings)


def _constant(seed: int, kept: float) -> inspection.Inspection:
    return look(taught_constants(KINDS[seed % 5], seed, data(seed), kept=kept), data(seed))


FAULTS = {
    "recurrent matrix too small": Fault("vanishing-gradient", (0.3, 0.2, 0.1), _small_radius),
    "recurrent matrix too large": Fault("exploding-gradient", (2, 3, 4), _large_radius),
    "units killed": Fault("dead-units", (0.6, 0.75, 0.9), _dead),
    "gate forced open": Fault("saturated-gates", (12, 16, 24), _forced),
    "gate forced shut": Fault("saturated-gates", (-12, -16, -24), _forced),
    "learning rate too high": Fault("learning-rate-too-high", (100, 300, 1000), _rate),
    "learning rate too low": Fault("learning-rate-too-low", (1e-2, 3e-3, 1e-3), _rate),
    "50 windows and a wide net": Fault("overfitting", (128, 192, 256), _fifty_windows),
    "taught constants": Fault("flat-forecast", (0.1, 0.05, 0.0), _constant),
}


def codes(seen: inspection.Inspection) -> set[str]:
    """What is found."""
    return {finding.code for finding in seen.findings}
