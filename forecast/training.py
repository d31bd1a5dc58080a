"""One training run: a function of configuration and data, without global state."""

import logging
import signal
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint
from torch import Tensor

from forecast.averaging import WeightAveraging
from forecast.calibration import shrink, stretch_factors
from forecast.checkpoints import KeepState, load_finished, save_finished, state_to_resume
from forecast.combination import select_weights
from forecast.config import ForecasterConfig
from forecast.datamodule import WindowsDataModule
from forecast.errors import Problem, TrainingError
from forecast.metrics import seasonal_error
from forecast.module import ForecastModule
from forecast.networks import Ensemble, Network
from forecast.outputs import MeanHead
from forecast.saved import build_network
from forecast.table import SeriesTable


def train(
    config: ForecasterConfig,
    table: SeriesTable,
    callbacks: Sequence[Callback] = (),
    validate: bool = True,
    folder: Path | None = None,
    start: Network | None = None,
) -> tuple[Network, list[dict[str, float]]]:
    """Train a network.

    Args:
        config: A resolved configuration of one network.
        table: The training data, validation windows included.
        callbacks: Lightning callbacks, to watch the training.
        validate: Whether to keep the last windows from training and to stop where they get no better. Without,
            all is trained on, to the last epoch.
        folder: Where the training keeps its state. One that was cut off there goes on, and ends with the
            weights it would have had; one that was finished is not repeated.
        start: A network of the same shape whose weights are the first ones.

    Returns:
        The network with the weights of its best (or last) epoch, on the CPU, and one entry per epoch:
        `epoch, train_loss, val_loss, learning_rate`.

    Raises:
        DataError: No series is long enough.
        TrainingError: The loss became infinite or not a number.
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    training = config.training
    recorder = _Recorder()
    with _quiet(), torch.random.fork_rng(), _kept_in(folder) as place:
        torch.manual_seed(training.seed)
        network = build_network(config)
        epochs = load_finished(place, network)
        if epochs is not None:
            return network.eval(), epochs
        data = WindowsDataModule(table, config, validate)
        if start is not None:
            network.load_state_dict(start.state_dict())
        module = ForecastModule(network, config, training.max_epochs * training.batches_per_epoch)
        best = ModelCheckpoint(place, "best", monitor="val_loss", save_weights_only=True, enable_version_counter=False)
        trainer = pl.Trainer(
            max_epochs=training.max_epochs,
            accelerator="auto",
            devices=1,
            gradient_clip_val=training.gradient_clip,
            num_sanity_val_steps=0,
            limit_val_batches=1.0 if validate else 0,
            logger=False,
            enable_checkpointing=validate or folder is not None,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=place,
            callbacks=[
                *([EarlyStopping("val_loss", patience=training.patience), best] if validate else []),
                *([WeightAveraging(training.weight_averaging)] if training.weight_averaging else []),
                _TimeLimit(),
                recorder,
                *([KeepState(place)] if folder else []),
                *callbacks,
            ],
        )
        with _interrupts():
            trainer.fit(module, data, ckpt_path=state_to_resume(place), weights_only=True)
        if not all(isfinite(value) for epoch in recorder.epochs for value in epoch.values()):
            hint = "look for odd values in the last windows of the series"
            raise TrainingError(Problem("the validation loss became infinite or not a number", hint))
        if validate:
            weights = torch.load(best.best_model_path, map_location="cpu", weights_only=True)["state_dict"]
            module.load_state_dict(weights)
        if validate and isinstance(network.head, MeanHead):
            network.head.learn_spread(_errors(module.cpu(), data))
        network.cpu().eval()
        if folder:
            save_finished(place, network, recorder.epochs)
    return network, recorder.epochs


def finish(network: Ensemble, config: ForecasterConfig, table: SeriesTable, windows: int) -> None:
    """Fit what belongs to the whole: the members' weights and the calibration, on windows that none was trained on.

    Args:
        network: The trained members, changed in place.
        config: The resolved configuration of all.
        table: The series.
        windows: How many at each series' end were kept from training.
    """
    fit_weights = config.combination == "weights" and len(network.members) > 1
    if not (fit_weights or config.calibration):
        return
    longest = max(config.networks, key=lambda one: one.context_length or 0)
    kept = longest.training.model_copy(update={"validation_windows": windows})
    data = WindowsDataModule(table, longest.model_copy(update={"training": kept}))
    batches = list(data.validation_batches())
    with torch.inference_mode():
        each = torch.cat([network.each(*batch[:3], batch.static) for batch in batches], dim=1)
        actual = torch.cat([batch.target for batch in batches])
        observed = torch.cat([batch.target_observed for batch in batches])
        levels = torch.tensor(config.quantile_levels)
        if fit_weights:
            size = torch.from_numpy(seasonal_error(table, 1))[data.validation[0]].float()
            unit = torch.where(size > 0, 1 / size, 0)
            network.weights.copy_(select_weights(each, actual, observed, unit, levels))
        if config.calibration:
            factors = stretch_factors(network.combine(each), actual, observed, levels)
            network.factors.copy_(shrink(factors, windows))


def _errors(module: ForecastModule, data: WindowsDataModule) -> Tensor:
    """Errors of the output on the validation windows `(N, H)`, NaN where nothing was observed."""
    network = module.network.eval()
    errors = []
    with torch.inference_mode():
        for batch in data.validation_batches():
            output, frame = network.scaled(batch.context, batch.observed, batch.known, batch.static)
            counts = batch.target_observed & (frame.size > 0)
            error = network.in_units_of_output(batch.target, frame) - output
            errors.append(error.masked_fill(~counts, torch.nan))
    return torch.cat(errors)


class _Recorder(Callback):
    """Keeps the losses of each epoch."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def state_dict(self) -> dict[str, Any]:
        return {"epochs": list(self.epochs)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.epochs = state_dict["epochs"]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.epochs.append(epoch_metrics(trainer))


def epoch_metrics(trainer: pl.Trainer) -> dict[str, float]:
    """What is known at an epoch's end: `epoch, train_loss, learning_rate`, and `val_loss` where one is measured."""
    known = trainer.callback_metrics
    losses: dict[str, float] = {name: float(known[name]) for name in ("train_loss", "val_loss") if name in known}
    return {"epoch": trainer.current_epoch, **losses, "learning_rate": trainer.optimizers[0].param_groups[0]["lr"]}


class _TimeLimit(Callback):
    """Ends the training when its time is up."""

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if isinstance(pl_module, ForecastModule) and pl_module.progress >= 1:
            trainer.should_stop = True


@contextmanager
def _kept_in(folder: Path | None) -> Iterator[Path]:
    """A training's folder: the one it is given, or one that goes with it."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder.absolute()
    else:
        with tempfile.TemporaryDirectory() as place:
            yield Path(place)


@contextmanager
def _interrupts() -> Iterator[None]:
    """Let Ctrl-C be a KeyboardInterrupt: Lightning makes an exit of it, and ignores any that follow."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as ended:
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from ended


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's advice on loaders and devices, meant for its own users, out of ours."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning.*")
            yield
    finally:
        logger.setLevel(level)
