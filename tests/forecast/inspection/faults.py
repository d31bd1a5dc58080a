"""Networks with a fault planted in them, and healthy ones; all tiny."""

import math
from copy import deepcopy

import numpy as np
import pandas as pd
import torch
from torch import nn

from forecast import Forecaster, NetworkConfig, SeriesTable, TrainingConfig, inspection, read_series
from forecast.auto import resolve
from forecast.datamodule import WindowsDataModule
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
