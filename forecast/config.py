"""The settings of a forecaster: one typed object per thing, each field documented once.

Fields left at None are set from the data by `auto.resolve`; what was decided is saved with the model.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self, get_args

from annotated_types import Ge, Gt, Le, Len, Lt
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from forecast.calendar import Frequency
from forecast.errors import ParameterError, Problem

Fraction = Annotated[float, Gt(0), Lt(1)]
QUANTILE_LEVELS = (0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975)
LONGEST_HORIZON = 10_000  # steps; beyond it a direct forecast says nothing
LOSSES = {"quantiles": ("pinball",), "mean": ("mse", "mae", "huber"), "bins": ("cross-entropy",)}
SHORTCUTS = {"none": 0, "last": 1}


def _several(shortcut: Any) -> Any:
    """One shortcut is a list of one; two have names."""
    if shortcut is None:
        return None
    given = shortcut if isinstance(shortcut, list | tuple) else [shortcut]
    return tuple(SHORTCUTS.get(one, one) if isinstance(one, str) else one for one in given)


Shortcuts = Annotated[tuple[Annotated[int, Ge(0)], ...], Len(1, 8), BeforeValidator(_several)]


class Config(BaseModel):
    """A settings object: unknown names are refused, values never change once made."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def build(cls, **settings: Any) -> Self:
        """Make one from keyword arguments.

        Raises:
            ParameterError: Names every wrong setting, with what was expected.
        """
        try:
            return cls(**settings)
        except ValidationError as error:
            raise ParameterError([_problem(cls, one) for one in error.errors(include_url=False)]) from None


class NetworkConfig(Config):
    """The network. Networks differ in their encoder alone."""

    kind: Literal["feedforward", "cnn", "rnn", "gru", "lstm"] = Field(
        "lstm", description="the encoder: feedforward, cnn, rnn, gru or lstm"
    )
    hidden_size: Annotated[int, Ge(1), Le(4096)] = Field(128, description="units of the encoder's state")
    num_layers: Annotated[int, Ge(1), Le(16)] | None = Field(
        None, description="layers of the encoder, by default 1, for a cnn as many as see the whole context"
    )
    dropout: Annotated[float, Ge(0), Lt(1)] = Field(0.1, description="share of units dropped in training")
    activation: Literal["relu", "sigmoid", "tanh", "gelu"] | None = Field(
        None,
        description="relu, sigmoid, tanh or gelu, in the decoder, a feedforward net's or cnn's layers and a plain rnn "
        "(tanh or relu); gru and lstm have their own inside; by default relu, but tanh inside a plain rnn",
    )
    patch_length: Annotated[int, Ge(1)] | None = Field(
        None, description="steps of history read at once; 1 is the textbook network, by default a short season"
    )
    scaling: Literal["standard", "mean-abs", "robust"] = Field(
        "standard",
        description="what each window is scaled by: standard (mean and deviation), mean-abs (mean absolute value) or "
        "robust (median and quartiles)",
    )
    transform: Literal["none", "log"] | None = Field(
        None,
        description="none, or log for long tails: series are compressed before scaling, forecasts put back; by default "
        "log where no value is negative",
    )
    shortcut: Shortcuts | None = Field(
        None,
        description="what the network's output is added to: the values so many steps (a season) before, last (the "
        "last value) or none (the window's mean); of several, [168, 24, 48], a mean whose weights the network gives, "
        "at first mostly the first; by default all seasons and twice those, that which alone forecasts best first",
    )
    output: Literal["quantiles", "mean", "bins"] = Field(
        "quantiles",
        description="what is learnt of each step ahead: quantiles, the mean (its quantiles are those of the errors in "
        "validation) or bins (a probability for each of many ranges of value)",
    )

    @model_validator(mode="after")
    def _cross_check(self) -> Self:
        if self.kind == "rnn" and self.activation not in ("tanh", "relu", None):
            raise ValueError(f"network.kind=rnn knows tanh and relu, not network.activation={self.activation}")
        return self


class TrainingConfig(Config):
    """How the network is trained."""

    batch_size: Annotated[int, Ge(1)] = Field(256, description="windows in a batch")
    max_epochs: Annotated[int, Ge(1)] = Field(24, description="epochs at the most")
    batches_per_epoch: Annotated[int, Ge(1)] = Field(40, description="batches between two validations")
    max_minutes: Annotated[float, Gt(0)] | None = Field(
        None, description="stop after this long, fully annealed (but for plateau); an ensemble's members share it"
    )
    optimizer: Literal["adamw", "adam", "sgd", "rmsprop"] = Field("adamw", description="adamw, adam, sgd or rmsprop")
    learning_rate: Annotated[float, Gt(0), Le(1)] = Field(
        4e-3, description="the schedule's peak; sgd needs about 100 times adamw's"
    )
    schedule: Literal["one-cycle", "cosine", "plateau"] = Field(
        "one-cycle",
        description="of the learning rate: one-cycle (up, then down to 0), cosine (down to 0) or plateau (down when "
        "the validation loss stalls)",
    )
    momentum: Annotated[float, Ge(0), Lt(1)] | None = Field(
        None, description="of sgd (by default 0.9) and rmsprop (by default 0)"
    )
    loss: Literal["pinball", "mse", "mae", "huber", "cross-entropy"] | None = Field(
        None, description="of quantiles pinball, of the mean mse, mae or huber (by default mae), of bins cross-entropy"
    )
    error_unit: Literal["window", "seasonal-error", "data"] = Field(
        "window",
        description="what an error counts in: each window's own scale, the series' seasonal-naive error (as in MASE) "
        "or the transformed data as they are (relative error on the log)",
    )
    weight_decay: Annotated[float, Ge(0)] | None = Field(
        None, description="decoupled for adamw (by default 0.01), a penalty on the loss for the others (by default 0)"
    )
    weight_averaging: Annotated[float, Ge(0), Lt(1)] = Field(
        0.0, description="share of the training, at its end, over which the weights are averaged"
    )
    gradient_clip: Annotated[float, Gt(0)] = Field(1.0, description="largest norm of the gradient")
    calendar_dropout: Annotated[float, Ge(0), Lt(1)] = Field(
        0.1, description="share of training windows without calendar, so that undated series can be forecast too"
    )
    patience: Annotated[int, Ge(1)] = Field(10, description="epochs without a better validation loss before stopping")
    validation_windows: Annotated[int, Ge(1)] | None = Field(
        None, description="windows at each series' end kept for validation, by default enough for a steady loss"
    )
    seed: Annotated[int, Ge(0), Lt(2**32)] = Field(0, description="same seed, data and machine: same weights")

    @model_validator(mode="after")
    def _cross_check(self) -> Self:
        if self.momentum is not None and self.optimizer not in ("sgd", "rmsprop"):
            raise ValueError(
                f"training.momentum={self.momentum} is for sgd and rmsprop, not for training.optimizer={self.optimizer}"
            )
        return self


class CovariatesConfig(Config):
    """Columns that help to forecast the target; the calendar is read without being named here."""

    known: tuple[str, ...] = Field(
        (), description="columns known in advance, for the past and for every step forecast (prices, holidays)"
    )
    past: tuple[str, ...] = Field((), description="columns known for the past only")
    static: tuple[str, ...] = Field((), description="columns that are the same in all rows of a series")
    scales: dict[str, tuple[float, Annotated[float, Gt(0)]]] = Field(
        {}, description="mean and standard deviation of each column of numbers, from the data"
    )
    categories: dict[str, tuple[str, ...]] = Field(
        {}, description="the categories of each column of text, from the data; any other counts as missing"
    )

    @model_validator(mode="after")
    def _cross_check(self) -> Self:
        names = (*self.known, *self.past, *self.static)
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"the covariate {name!r} is named twice in covariates.known, past and static")
            if name in ("item_id", "timestamp", "target"):
                raise ValueError(f"the column {name!r} cannot be a covariate: it is part of every series")
            if name in self.scales and name in self.categories:
                raise ValueError(f"the covariate {name!r} is in covariates.scales and in covariates.categories")
        return self

    @property
    def varying(self) -> tuple[str, ...]:
        """The columns with a value for each step: those known in advance, then those of the past."""
        return self.known + self.past

    @property
    def names(self) -> tuple[str, ...]:
        """All columns."""
        return self.varying + self.static


class MemberConfig(Config):
    """One network of an ensemble: what is not said is as in the forecaster's own settings."""

    context_length: Annotated[int, Ge(1)] | None = None
    network: NetworkConfig = NetworkConfig()
    training: TrainingConfig = TrainingConfig()

    @model_validator(mode="after")
    def _cross_check(self) -> Self:
        network, context, loss = self.network, self.context_length, self.training.loss
        if network.patch_length and context and context % network.patch_length:
            raise ValueError(
                f"context_length={context} is not a multiple of network.patch_length={network.patch_length}"
            )
        if network.shortcut and context and max(network.shortcut) > context:
            raise ValueError(f"network.shortcut={max(network.shortcut)} lies before the context of {context} steps")
        if loss and loss not in LOSSES[network.output]:
            raise ValueError(f"training.loss={loss} is not one for network.output={network.output}")
        if network.output == "bins" and self.training.error_unit != "window":
            raise ValueError(f"network.output=bins counts no errors in training.error_unit={self.training.error_unit}")
        return self


class ForecasterConfig(MemberConfig):
    """Everything that makes a forecaster, before and after the data was seen."""

    prediction_length: Annotated[int, Ge(1), Le(LONGEST_HORIZON)] = Field(description="steps to forecast")
    context_length: Annotated[int, Ge(1)] | None = Field(
        None, description="steps of history read, by default two long seasons"
    )
    quantile_levels: tuple[Fraction, ...] = Field(QUANTILE_LEVELS, description="levels trained, ascending")
    network: NetworkConfig = NetworkConfig()
    training: TrainingConfig = TrainingConfig()
    members: Annotated[tuple[MemberConfig, ...], Len(0, 64)] = Field(
        (), description="networks of an ensemble, each by the settings in which it differs: {network: {kind: gru}}"
    )
    combination: Literal["median", "weights"] = Field(
        "median", description="of an ensemble: the members' median, or a mean with weights fitted in validation"
    )
    calibration: bool = Field(
        True, description="whether quantiles are moved in or out so that they hold what they say in validation"
    )
    covariates: CovariatesConfig = CovariatesConfig()
    calendar: bool = Field(
        True, description="whether hour, weekday and the like are read; not for series whose dates are made up"
    )
    frequency: str | None = Field(None, description="the series' frequency, from the data")
    minimum_history: Annotated[int, Ge(1)] | None = Field(
        None, description="values a series must have, by default a short season"
    )
    nonnegative: bool | None = Field(
        None, description="whether series without negative values get forecasts without, by default as the data are"
    )

    @model_validator(mode="before")
    @classmethod
    def _complete_members(cls, settings: Any) -> Any:
        """Give each member what it leaves unsaid."""
        if not isinstance(settings, Mapping) or not isinstance(settings.get("members"), list | tuple):
            return settings
        members = [_overlaid(settings, one) if isinstance(one, Mapping) else one for one in settings["members"]]
        return {**settings, "members": members}

    @model_validator(mode="after")
    def _check_levels(self) -> Self:
        levels = self.quantile_levels
        if list(levels) != sorted(set(levels)) or 0.5 not in levels:
            raise ValueError("quantile_levels must ascend and hold 0.5")
        return self

    @property
    def networks(self) -> tuple[Self, ...]:
        """The settings of each network alone: this one's own, or one for each member, with its share of the time."""
        if not self.members:
            return (self,)
        alone = []
        for member in self.members:
            minutes = member.training.max_minutes
            share = member.training.model_copy(update={"max_minutes": minutes and minutes / len(self.members)})
            alone.append(self.model_copy(update={**dict(member), "training": share, "members": ()}))
        return tuple(alone)

    @property
    def label(self) -> str:
        """What a forecaster is made of, in a word or three: "lstm", "ensemble of 8"."""
        return f"ensemble of {len(self.members)}" if self.members else self.network.kind

    @property
    def names(self) -> tuple[str, ...]:
        """What each network is called: its kind, in an ensemble after its number, "2 gru"."""
        kinds = [one.network.kind for one in self.networks]
        return tuple(f"{number} {kind}" for number, kind in enumerate(kinds, 1)) if self.members else tuple(kinds)

    @property
    def longest_context(self) -> int:
        """Steps of history read by the network that reads most; 1 where that is still open."""
        return max(network.context_length or 1 for network in self.networks)

    @property
    def series_frequency(self) -> Frequency:
        """The frequency of the series it is for, "step" where they have none."""
        return Frequency.parse(self.frequency or "step")

    @property
    def calendar_frequency(self) -> Frequency:
        """The frequency whose calendar is read, "step" where none is."""
        return Frequency.parse((self.calendar and self.frequency) or "step")


def _overlaid(settings: Mapping[str, Any], member: Mapping[str, Any]) -> dict[str, Any]:
    """A member's settings over the forecaster's."""
    whole: dict[str, Any] = {"context_length": settings.get("context_length"), **member}
    for part in ("network", "training"):
        if isinstance(own := member.get(part, {}), Mapping):
            whole[part] = {**dict(settings.get(part, {})), **own}
    return whole


def _problem(root: type[BaseModel], error: Any) -> Problem:
    """A pydantic error in this library's words: the setting by its path, what is allowed, the nearest right name."""
    steps = [str(part) for part in error["loc"]]
    path = ".".join(steps).removeprefix("forecaster.")
    if error["type"] == "extra_forbidden":
        known = _field_names(root, steps[:-1])
        return Problem(f"there is no setting {path!r}", nearest(steps[-1], known), field=path)
    if error["type"] == "value_error":
        return Problem(str(error["ctx"]["error"]), "change one of the two", field=path or None)
    if error["type"] == "missing":
        return Problem(f"{path} is missing", "set it", field=path)
    found = str(error["input"])[:60]
    allowed = re.findall(r"'([^']+)'", error["ctx"]["expected"]) if error["type"] == "literal_error" else []
    close = get_close_matches(found, allowed, 1)
    hint = f"did you mean {close[0]!r}?" if close else ""
    return Problem(f"{path}: {error['msg'][0].lower()}{error['msg'][1:]}, got {found!r}", hint, field=path)


def nearest(name: str, known: Collection[str], otherwise: str = "") -> str:
    """What to do about a name that there is not: the one probably meant, or `otherwise`, by default all there are."""
    close = [one for one in known if one.endswith(f".{name}")] or get_close_matches(name, known, 1, 0.5)
    return f"did you mean {close[0]!r}?" if close else otherwise or f"there are {', '.join(sorted(known))}"


def _field_names(model: type[BaseModel], steps: Sequence[str]) -> list[str]:
    """The settings there are in the part of the tree that these steps lead to."""
    for step in steps:
        if step.isdigit():
            continue
        annotation = model.model_fields[step].annotation
        parts = [annotation, *get_args(annotation), *(deep for part in get_args(annotation) for deep in get_args(part))]
        model = next(part for part in parts if isinstance(part, type) and issubclass(part, BaseModel))
    return list(model.model_fields)
