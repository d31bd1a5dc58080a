"""Windows per second through a gradient step: ours against neuralforecast's networks of the same size."""

import time
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from benchmarks.pairs import Summary, compare, windows_per_second
from benchmarks.peers import Peer
from forecast import Forecaster, NetworkConfig, SeriesTable, TrainingConfig

CONTEXT, HORIZON, HIDDEN, LAYERS, BATCH = 168, 48, 128, 2, 512
WARM_UP = 5
PEERS: dict[str, tuple[str, dict[str, int], int]] = {  # ours: theirs, its size, how many times fewer steps it gets
    "lstm": ("LSTM", {"encoder_hidden_size": HIDDEN, "encoder_n_layers": LAYERS}, 5),
    "feedforward": ("MLP", {"hidden_size": HIDDEN, "num_layers": LAYERS}, 1),
}


def measure(table: SeriesTable, peer: Peer, pairs: int, steps: int) -> Summary:
    """Compare in turns, all within one epoch, without validation on either side.

    Args:
        table: What both are trained on.
        peer: Where the peers live; its data are those of the table.
        pairs: Turns.
        steps: Gradient steps timed in each.

    Returns:
        For each network windows per second, and how many times the peer's that is.
    """
    results = {}
    for kind, (model, size, fewer) in PEERS.items():
        ours, theirs = [], []
        for _ in range(pairs):
            ours.append(_ours(table, kind, steps))
            theirs.append(_theirs(peer, model, size, max(steps // fewer, 2)))
        results[kind] = {"peer": model, **compare(ours, theirs)}
    return results


class StepClock(Callback):
    """Notes when each gradient step began, and its windows."""

    def __init__(self) -> None:
        self.started: list[float] = []
        self.windows: list[int] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self.started.append(time.perf_counter())
        self.windows.append(len(batch.context))


def _ours(table: SeriesTable, kind: str, steps: int) -> float:
    clock = StepClock()
    network = NetworkConfig.build(kind=kind, hidden_size=HIDDEN, num_layers=LAYERS)
    training = TrainingConfig(batch_size=BATCH, max_epochs=1, batches_per_epoch=steps + WARM_UP)
    Forecaster(network, HORIZON, CONTEXT, training).fit(table, [clock])
    return windows_per_second(clock.started, clock.windows, WARM_UP)


def _theirs(peer: Peer, model: str, size: dict[str, int], steps: int) -> float:
    training = {"h": HORIZON, "input_size": CONTEXT, "windows_batch_size": BATCH, "max_steps": steps + WARM_UP}
    done = peer.fit(model, {**training, **size})
    return windows_per_second(done["started"], done["windows"], WARM_UP)
