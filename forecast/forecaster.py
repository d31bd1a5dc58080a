"""The forecaster: fit, predict, save, load. The whole library in one object."""

import warnings
from collections.abc import Sequence
from copy import deepcopy
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import torch

from forecast.auto import check_frequency, resolve, validation_windows
from forecast.compiled import CompiledNetwork, Forecasting
from forecast.config import LONGEST_HORIZON, CovariatesConfig, ForecasterConfig, NetworkConfig, TrainingConfig
from forecast.covariate_features import check_known_ahead
from forecast.errors import DataWarning, ModelNotFound, ParameterError, Problem
from forecast.levels import check_levels
from forecast.networks import Ensemble, Network
from forecast.predictor import Data, Predictor, check_horizon
from forecast.rolling import MOST_BLOCKS, windows_read
from forecast.saved import build_ensemble, check_golden, golden_input, golden_table, load_model, save_model
from forecast.series import read_series
from forecast.table import SeriesTable
from forecast.together import Question, forecast_together, windows_to_forecast

if TYPE_CHECKING:
    from pytorch_lightning import Callback

WARM_EPOCHS = 0.25  # of the settings', for networks that start from trained weights


class Forecaster(Predictor):
    """A neural forecaster for many series at once, with quantiles.

    Quick start:

        model = Forecaster(network="lstm", prediction_length=48).fit(series)
        frame = model.predict(series, quantile_levels=[0.1, 0.5, 0.9])
        model.save("model")
        model = Forecaster.load("model")

    Args:
        network: The encoder ("feedforward", "cnn", "rnn", "gru" or "lstm"), or all the network's settings.
        prediction_length: Steps to forecast.
        context_length: Steps of history read; set from the data when left out.
        training: How to train.
        settings: Further fields of `ForecasterConfig`.

    Raises:
        ParameterError: A setting cannot be used.

    Attributes:
        config: The settings; after `fit` complete.
        history: One entry per epoch of the last `fit`: `member, epoch, train_loss, val_loss, learning_rate`.
    """

    def __init__(
        self,
        network: str | NetworkConfig = "lstm",
        prediction_length: int = 1,
        context_length: int | None = None,
        training: TrainingConfig | None = None,
        **settings: Any,
    ) -> None:
        self.config = ForecasterConfig.build(
            network=NetworkConfig.build(kind=network) if isinstance(network, str) else network,
            prediction_length=prediction_length,
            context_length=context_length,
            training=training or TrainingConfig(),
            **settings,
        )
        self.history: list[dict[str, float]] = []
        self._network: Ensemble | None = None
        self._compiled: CompiledNetwork | None = None
        self._start: Forecaster | None = None
        self._kept = 0

    @classmethod
    def from_config(cls, config: ForecasterConfig) -> Self:
        """A forecaster with these settings."""
        return cls(**dict(config))

    @classmethod
    def from_networks(cls, config: ForecasterConfig, members: Sequence[Network]) -> Self:
        """A forecaster of networks trained elsewhere, as many as the resolved configuration names."""
        model = cls.from_config(config)
        model._network = build_ensemble(config, members).eval()
        return model

    @property
    def prediction_length(self) -> int:  # type: ignore[override]
        return self.config.prediction_length

    @property
    def longest_horizon(self) -> int:  # type: ignore[override]
        return min(MOST_BLOCKS * self.config.prediction_length, LONGEST_HORIZON)

    @property
    def context_length(self) -> int:  # type: ignore[override]
        return self.config.longest_context

    @property
    def covariates(self) -> CovariatesConfig:  # type: ignore[override]
        return self.config.covariates

    @property
    def minimum_history(self) -> int:  # type: ignore[override]
        return self.config.minimum_history or 1

    @property
    def network(self) -> Ensemble:
        """The trained network or networks.

        Raises:
            ModelNotFound: There is none yet.
        """
        if self._network is None:
            raise ModelNotFound(
                Problem("this forecaster is not trained", "call fit(series) or Forecaster.load(folder)")
            )
        return self._network

    @property
    def forecasting(self) -> Forecasting:
        """What forecasts windows: the network, compiled once `compile` was called.

        Raises:
            ModelNotFound: There is no network yet.
        """
        return self._compiled or self.network

    def compile(self) -> Self:
        """Forecast with the compiled network from now on: the same numbers, in about half the time for few series.

        Takes a good part of a second; `fit` undoes it.

        Returns:
            Itself.

        Raises:
            ModelNotFound: There is no network yet.
        """
        table = golden_table(golden_input(self.config), self.covariates)
        windows = windows_to_forecast(self, table, blocks=1)
        try:
            self._compiled = CompiledNetwork(
                self.network, self.config, lambda number: windows.latest(torch.zeros(number, dtype=torch.int64))
            )
        except RuntimeError as error:
            warnings.warn(f"the network is not compiled: {error}", DataWarning, stacklevel=2)
        return self

    def fit(
        self,
        series: Data,
        callbacks: "Sequence[Callback]" = (),
        checkpoints: str | Path | None = None,
        start: "Forecaster | None" = None,
    ) -> Self:
        """Train on series; the end of each is kept for validation, and the best epoch's weights are kept.

        What the validation windows show of the whole is kept too: the weights of an ensemble's members, and
        how far quantiles must be moved to hold what they say.

        The same seed, data and machine give the same weights (unless a time limit cuts the training short).

        Args:
            series: A table, or anything `read_series` takes.
            callbacks: Lightning callbacks, to watch the training.
            checkpoints: A folder in which the training keeps its state. Cut off, even by a lost machine, and
                called again with the same folder and series, it goes on and ends with the same weights.
            start: A trained forecaster of the same networks, to start from its weights and train for fewer epochs.

        Returns:
            Itself.

        Raises:
            DataError: The series cannot be used, or none is long enough.
            ParameterError: The settings do not fit the data, the folder is another training's, or the forecaster to
                start from has other networks.
            TrainingError: The loss became infinite or not a number.
        """
        from forecast.training import finish, train  # Lightning takes seconds: not for those who only predict

        table = series if isinstance(series, SeriesTable) else read_series(series, covariates=self.config.covariates)
        config = resolve(self.config, table)
        self._start = start
        folders = _folders(checkpoints, "fit", config)
        starts = _first_weights(start, config)
        trained = [
            train(one, table, callbacks, folder=folder, start=first)
            for (one, first), folder in zip(starts, folders, strict=True)
        ]
        network = build_ensemble(config, [member for member, _ in trained])
        self._kept = validation_windows(config, table)
        finish(network, config, table, self._kept)
        self.history = [{"member": k, **epoch} for k, (_, epochs) in enumerate(trained) for epoch in epochs]
        self.config, self._network, self._compiled = config, network.eval(), None
        return self

    def refit(
        self,
        series: Data,
        held_back: int = 0,
        callbacks: "Sequence[Callback]" = (),
        checkpoints: str | Path | None = None,
    ) -> Self:
        """Train the same networks anew, to the very end of the series and as long as was best in `fit`.

        For the model that goes live: the latest values, which were kept for validation and judgement, are
        learnt from too. Before that the networks of `fit`, which know none of them, tell by these windows how
        members are weighed and how far quantiles must be moved.

        Args:
            series: As in `fit`, with what was held back from it.
            held_back: Windows at each series' end that `fit` was not given.
            callbacks: Lightning callbacks, to watch the training.
            checkpoints: As in `fit`, and the same folder if there is one.

        Returns:
            A new forecaster.

        Raises:
            ModelNotFound: `fit` was not called.
            DataError: The series cannot be used.
            TrainingError: The loss became infinite or not a number.
        """
        from forecast.training import finish, train

        fitted = deepcopy(self.network)
        if not self.history:
            raise ModelNotFound(Problem("this forecaster was loaded, not trained", "call fit(series) before refit"))
        table = series if isinstance(series, SeriesTable) else read_series(series, covariates=self.config.covariates)
        finish(fitted, self.config, table, self._kept + held_back)
        members = []
        folders = _folders(checkpoints, "refit", self.config)
        starts = _first_weights(self._start, self.config)
        for k, ((one, first), old, folder) in enumerate(zip(starts, fitted.members, folders, strict=True)):
            epochs = [epoch for epoch in self.history if epoch["member"] == k]
            best = min(range(len(epochs)), key=lambda number: epochs[number]["val_loss"])
            training = one.training.model_copy(update={"max_epochs": best + 1})
            config = one.model_copy(update={"training": training})
            member, _ = train(config, table, callbacks, validate=False, folder=folder, start=first)
            member.load_state_dict(dict(old.named_buffers()), strict=False)
            members.append(member)
        network = build_ensemble(self.config, members)
        network.load_state_dict({"weights": fitted.weights, "factors": fitted.factors}, strict=False)
        model = type(self).from_config(self.config)
        model._network = network.eval()
        return model

    def check(self, table: SeriesTable, prediction_length: int, quantile_levels: Sequence[float]) -> None:
        """Refuse what cannot be forecast.

        Raises:
            DataError: A series cannot be forecast.
            ParameterError: The horizon or a level is out of range.
            ModelNotFound: The forecaster is not trained.
        """
        _ = self.network  # there is one
        check_horizon(prediction_length, self.longest_horizon)
        check_levels(quantile_levels, self.config.quantile_levels[0], self.config.quantile_levels[-1])
        check_frequency(self.config, table)
        self.check_usable(table)
        check_known_ahead(self.config.covariates, table, prediction_length)

    def forecast(
        self, table: SeriesTable, prediction_length: int, quantile_levels: Sequence[float]
    ) -> npt.NDArray[np.float32]:
        self.check(table, prediction_length, quantile_levels)
        return self.forecast_together([Question(table, prediction_length, quantile_levels)])[0]

    def forecast_together(self, questions: Sequence[Question]) -> list[npt.NDArray[np.float32]]:
        """Answer several questions, each of which `check` has let pass, in one forward pass where they allow it.

        Returns:
            `(N, H, 1 + R)` for each.
        """
        return forecast_together(self, questions)

    def windows_read(self, prediction_length: int) -> int:
        """How many windows the network reads to forecast one series so far."""
        return windows_read(ceil(prediction_length / self.prediction_length))

    def save(self, folder: str | Path) -> None:
        """Write the model to a folder (see `saved.py`), with a golden forecast that `load` checks.

        Raises:
            ModelNotFound: The forecaster is not trained.
            ParameterError: The folder holds something else than a model, which would be lost.
        """
        network = self.network
        golden = golden_input(self.config)
        golden["forecast"] = self._trained_quantiles(golden_table(golden, self.config.covariates)).tolist()
        save_model(folder, self.config, network, golden)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read a model from a folder, on any machine, and check its golden forecast.

        Raises:
            ModelNotFound: There is no model in the folder.
            ModelDamaged: A file is missing or altered, or the model answers otherwise than when saved.
        """
        config, network, golden = load_model(folder)
        model = cls.from_config(config)
        model._network = network
        check_golden(golden, config.covariates, model._trained_quantiles)
        return model

    def _trained_quantiles(self, table: SeriesTable) -> npt.NDArray[np.float32]:
        """The trained quantiles for one series: `(H, Q)`."""
        return self.forecast(table, self.prediction_length, self.config.quantile_levels)[0, :, 1:]


def _folders(checkpoints: str | Path | None, stage: str, config: ForecasterConfig) -> list[Path | None]:
    """The folder of each network's training.

    Raises:
        ParameterError: They hold those of other settings.
    """
    from forecast.checkpoints import same_training

    numbers = range(len(config.networks))
    if checkpoints is None:
        return [None for _ in numbers]
    folder = Path(checkpoints) / stage
    if not same_training(folder, config.model_dump(mode="json")):
        raise ParameterError(
            Problem(
                f"{str(folder)!r} holds a training with other settings",
                "name another folder, or go on with the settings it was begun with",
                field="checkpoints",
            )
        )
    return [folder / f"{number:02d}" for number in numbers]


def _first_weights(start: Forecaster | None, config: ForecasterConfig) -> list[tuple[ForecasterConfig, Network | None]]:
    """The settings of each network to train, and the trained one it starts from, which then takes fewer epochs."""
    if start is None:
        return [(one, None) for one in config.networks]
    if [_shape(one) for one in start.config.networks] != [_shape(one) for one in config.networks]:
        raise ParameterError(
            Problem("the forecaster to start from has other networks", "give both the same settings", field="start")
        )
    fewer = []
    for one in config.networks:
        epochs = ceil(one.training.max_epochs * WARM_EPOCHS)
        fewer.append(one.model_copy(update={"training": one.training.model_copy(update={"max_epochs": epochs})}))
    return list(zip(fewer, start.network.members, strict=True))


def _shape(config: ForecasterConfig) -> tuple[object, ...]:
    """The settings that a network's weights belong to."""
    beside = (config.quantile_levels, config.covariates, config.calendar_frequency)
    return (config.prediction_length, config.context_length, config.network, *beside)
