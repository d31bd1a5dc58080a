"""The LightningDataModule: random windows to train on, the last windows of each series to validate on."""

from collections.abc import Callable, Iterator

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from forecast.auto import validation_windows
from forecast.config import ForecasterConfig
from forecast.errors import DataError, Problem
from forecast.metrics import seasonal_error
from forecast.table import SeriesTable
from forecast.windows import Batch, Origins, Windows, last_origins

EPOCHS_OF_A_SEED = 1_000_003  # more than any training has: the seeds of two do not meet


class WindowsDataModule(pl.LightningDataModule):
    """Batches of windows, validation windows never among those trained on.

    Args:
        table: The training data; its last steps are kept for validation.
        config: A resolved configuration of one network.
        validate: Whether to keep any; otherwise all is trained on.

    Raises:
        DataError: No series is long enough ("series-too-short").
    """

    def __init__(self, table: SeriesTable, config: ForecasterConfig, validate: bool = True) -> None:
        super().__init__()
        self.config = config
        lag = max((config.network.shortcut or (1,))[0], 1)
        self.windows = Windows(
            table,
            config.context_length or 0,
            config.prediction_length,
            config.calendar_frequency,
            seasonal_error(table, lag) if config.training.error_unit == "seasonal-error" else None,
            config.covariates,
        )
        self.validation_windows = validation_windows(config, table) if validate else 0
        horizon, minimum = config.prediction_length, config.minimum_history or 1
        lengths = self.windows.lengths
        kept = horizon * self.validation_windows
        # A series too short to give up its end is trained on whole.
        long_enough = lengths - kept >= minimum + horizon
        last = lengths - horizon - torch.where(long_enough, kept, 0)
        self.origins = Origins(torch.full_like(last, minimum), last)
        self.validation = last_origins(
            lengths, torch.arange(len(lengths))[long_enough], horizon, self.validation_windows
        )
        if not long_enough.any():
            longest = int(lengths.argmax())
            detail = (
                f"no series is long enough to learn from: the longest, {str(table.item_ids[longest])!r}, has "
                f"{int(lengths[longest])} steps, {minimum + horizon + kept} are needed "
                f"({minimum} of history, {horizon} to forecast and {kept} to validate on)"
            )
            hint = "send more history or forecast fewer steps"
            raise DataError("series-too-short", Problem(detail, hint, str(table.item_ids[longest]), "target"))

    def train_dataloader(self) -> DataLoader[Batch]:
        training = self.config.training
        windows = _RandomWindows(
            self.windows, self.origins, training.batch_size, training.batches_per_epoch, self._epoch_seed
        )
        return DataLoader(windows, batch_size=None)

    def _epoch_seed(self) -> int:
        """The seed of this epoch's windows: the same in a training that was cut off and resumed."""
        epoch = self.trainer.current_epoch if self.trainer else 0
        return self.config.training.seed * EPOCHS_OF_A_SEED + epoch

    def val_dataloader(self) -> DataLoader[Batch]:
        return DataLoader(self.validation_batches(), batch_size=None)

    def validation_batches(self) -> "_GivenWindows":
        """The windows kept from training, batch by batch, always in the same order."""
        return _GivenWindows(self.windows, *self.validation, self.config.training.batch_size)


class _RandomWindows(IterableDataset[Batch]):
    """Batches of windows drawn with replacement, every window as likely; the same for the same seed."""

    def __init__(
        self, windows: Windows, origins: Origins, batch_size: int, batches: int, seed: Callable[[], int]
    ) -> None:
        self.windows, self.origins = windows, origins
        self.batch_size, self.batches, self.seed = batch_size, batches, seed

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(self.seed())
        for _ in range(self.batches):
            number = torch.randint(len(self.origins), (self.batch_size,), generator=generator)
            yield self.windows.gather(*self.origins.window(number))


class _GivenWindows(IterableDataset[Batch]):
    """Batches of listed windows, in their order."""

    def __init__(self, windows: Windows, series: Tensor, origin: Tensor, batch_size: int) -> None:
        self.windows, self.series, self.origin, self.batch_size = windows, series, origin, batch_size

    def __len__(self) -> int:
        return -(-len(self.series) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for series, origin in zip(
            *(torch.split(part, self.batch_size) for part in (self.series, self.origin)), strict=True
        ):
            yield self.windows.gather(series, origin)
