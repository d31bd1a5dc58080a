"""The space that is searched: settings by their names, each with its choices, its range or its multiples.

network.kind: {choices: [gru, lstm]}
network.shortcut: {choices: [168, [168, 24]]}
network.dropout: {low: 0, high: 0.5}
training.learning_rate: {low: 1e-4, high: 1e-1, log: true}
context_length: {times: [0.5, 1, 2]}    # of what the recipe says or the data decide
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Self, Union, get_args, get_origin

from annotated_types import Gt, Len
from pydantic import TypeAdapter, ValidationError, model_validator
from pydantic.fields import FieldInfo

from forecast.config import Config, ForecasterConfig, NetworkConfig, TrainingConfig
from forecast.errors import ParameterError, Problem
from pipelines.shelf import Shelf

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

SPACES = Shelf("space", files("pipelines.tune") / "spaces")
LEFT_OPEN = "auto"  # how a setting that the data decide is shown

Scalar = bool | int | float | str | None
Value = Scalar | list[Scalar]


class Choices(Config):
    """One of these."""

    choices: Annotated[tuple[Value, ...], Len(1)]


class Range(Config):
    """A number from low to high, both included."""

    low: float
    high: float
    log: bool = False
    step: Annotated[float, Gt(0)] | None = None

    @model_validator(mode="after")
    def _cross_check(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low={self.low:g} is not below high={self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"low={self.low:g} has no logarithm")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other")
        return self


class Multiples(Config):
    """So many times what the recipe says or the data decide; of whole numbers only whole multiples."""

    times: Annotated[tuple[Annotated[float, Gt(0)], ...], Len(1)]


Declared = Choices | Range | Multiples
_FORMS: dict[str, type[Declared]] = {"choices": Choices, "low": Range, "high": Range, "times": Multiples}


@dataclass(frozen=True)
class Dimension:
    """One setting that is searched.

    Attributes:
        key: Its name, as in `forecast settings`.
        distribution: What Optuna draws from.
        start: What it draws first: the value that the search starts from.
        values: For choices, the value that each of Optuna's categories stands for.
    """

    key: str
    distribution: "BaseDistribution"
    start: Scalar
    values: Mapping[Scalar, Value] | None = None


@dataclass(frozen=True)
class Space:
    """All that is searched at once."""

    dimensions: tuple[Dimension, ...]

    @property
    def distributions(self) -> dict[str, "BaseDistribution"]:
        """What Optuna draws from, by setting."""
        return {one.key: one.distribution for one in self.dimensions}

    @property
    def start(self) -> dict[str, Scalar]:
        """The point of the space that is tried first: the settings as they are without a search."""
        return {one.key: one.start for one in self.dimensions}

    def settings(self, point: Mapping[str, Scalar]) -> dict[str, Value]:
        """The settings that a point stands for; None is left to the data."""
        return {
            one.key: point[one.key] if one.values is None else one.values[point[one.key]] for one in self.dimensions
        }


def default_space(config: ForecasterConfig) -> str:
    """The space that comes with the project for such a forecaster."""
    if config.members:
        return "ensemble"
    return "recurrent" if config.network.kind in ("rnn", "gru", "lstm") else config.network.kind


def load_space(name: str) -> dict[str, Declared]:
    """What a space declares of each setting.

    Raises:
        ParameterError: There is no such space, or it declares what there is not; names the place.
    """
    written = SPACES.settings(name, "write setting: {choices: [...]} or setting: {low: ..., high: ...}")
    return {str(key): _declared(name, str(key), value) for key, value in written.items()}


def build_space(declared: Mapping[str, Declared], config: ForecasterConfig, resolved: ForecasterConfig) -> Space:
    """Make a space that holds the settings it starts from, whatever else it declares.

    Args:
        declared: What is searched.
        config: The settings to start from.
        resolved: The same, with what the data decide.

    Raises:
        ParameterError: A range does not hold the value to start from, or there is none to multiply.
    """
    return Space(tuple(_dimension(key, one, _at(config, key), _at(resolved, key)) for key, one in declared.items()))


def _searchable() -> dict[str, FieldInfo]:
    """The settings that a search may change: not those that say what is asked for, how long, or by which luck."""
    own = {"context_length", "combination", "calibration", "calendar", "nonnegative"}
    fields = {key: field for key, field in ForecasterConfig.model_fields.items() if key in own}
    fields |= {f"network.{key}": field for key, field in NetworkConfig.model_fields.items()}
    fields |= {f"training.{key}": field for key, field in TrainingConfig.model_fields.items()}
    return {key: field for key, field in fields.items() if key not in ("training.max_minutes", "training.seed")}


def _declared(space: str, key: str, written: Any) -> Declared:
    """One setting's declaration, checked."""
    known = _searchable()
    if key not in known:
        close = get_close_matches(key, known, 1, 0.5)
        hint = f"did you mean {close[0]!r}?" if close else f"take of {', '.join(known)}"
        raise _wrong(space, f"{key!r} is not a setting that can be searched", hint)
    form = next((_FORMS[word] for word in written if word in _FORMS), None) if isinstance(written, dict) else None
    if form is None:
        hint = "write {choices: [...]}, {low: ..., high: ..., log: true} or {times: [0.5, 1, 2]}"
        raise _wrong(space, f"{key}={str(written)[:60]!r} declares nothing to search", hint)
    for word in written:
        if word not in form.model_fields:
            close = get_close_matches(str(word), form.model_fields, 1, 0.5)
            hint = f"did you mean {close[0]!r}?" if close else ""
            raise _wrong(space, f"{key} takes {', '.join(form.model_fields)}, not {word!r}", hint)
    try:
        declared = form(**written)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(map(str, (key, *first["loc"])))
        raise _wrong(space, f"{path}: {first['msg'].removeprefix('Value error, ')}") from None
    if not isinstance(declared, Choices) and not _numeric(known[key].annotation):
        raise _wrong(space, f"{key} is not a number", "declare its {choices: [...]}")
    if isinstance(declared, Choices):
        values = [_checked(space, key, f"choices.{k}", value) for k, value in enumerate(declared.choices)]
        return Choices(choices=tuple(values))
    if isinstance(declared, Range):
        whole = _numeric(known[key].annotation) is int
        for name, bound in (("low", declared.low), ("high", declared.high), ("step", declared.step)):
            if whole and bound is not None and bound % 1:
                raise _wrong(space, f"{key}.{name}: {bound:g} is not a whole number")
            if bound is not None and name != "step":
                _checked(space, key, name, bound)
    return declared


def _checked(space: str, key: str, place: str, value: Value) -> Value:
    """A value as the setting takes it."""
    adapter: TypeAdapter[Any] = TypeAdapter(_searchable()[key].rebuild_annotation())
    try:
        checked: Value = adapter.dump_python(adapter.validate_python(value), mode="json")
    except ValidationError as error:
        message = error.errors(include_url=False)[0]["msg"]
        raise _wrong(space, f"{key}.{place}: {message[0].lower()}{message[1:]}, got {value!r}") from None
    return checked


def _wrong(space: str, detail: str, hint: str = "") -> ParameterError:
    return ParameterError(Problem(f"the space {space!r}: {detail}", hint, field="space"))


def _numeric(annotation: Any) -> type[int] | type[float] | None:
    """Whether a setting is a whole number, any number, or none at all."""
    if annotation in (int, float):
        return int if annotation is int else float
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return next((kind for part in get_args(annotation) if (kind := _numeric(part))), None)
    return None


def _at(config: ForecasterConfig, key: str) -> Value:
    """The value of a setting in a configuration."""
    tree: Any = config.model_dump(mode="json")
    for step in key.split("."):
        tree = tree[step]
    value: Value = tree
    return value


def _dimension(key: str, declared: Declared, own: Value, decided: Value) -> Dimension:
    """One setting's part of the space: `own` is where it starts, `decided` what the data make of that."""
    from optuna.distributions import CategoricalDistribution

    if isinstance(declared, Range):
        return _between(key, declared, decided if own is None else own)
    values = list(_multiples(key, declared, decided) if isinstance(declared, Multiples) else declared.choices)
    start = next((value for value in (own, decided) if value in values), own)
    if start not in values:
        values.insert(0, start)
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    labels = {_label(value, numbers): value for value in values}
    return Dimension(key, CategoricalDistribution(list(labels)), _label(start, numbers), labels)


def _between(key: str, declared: Range, start: Value) -> Dimension:
    from optuna.distributions import FloatDistribution, IntDistribution

    low, high, step = declared.low, declared.high, declared.step
    if not isinstance(start, int | float):
        hint = f"say where to start: --set {key}={low:g}"
        raise ParameterError(Problem(f"{key} has no value that the search could start from", hint, field="space"))
    missed = step is not None and abs((start - low) / step - round((start - low) / step)) > 1e-6
    if not low <= start <= high or missed:
        steps = f" in steps of {step:g}" if step else ""
        raise ParameterError(
            Problem(
                f"{key} starts from {start:g}, which the space does not hold ({low:g} to {high:g}{steps})",
                f"widen it, or start elsewhere: --set {key}={low:g}",
                field="space",
            )
        )
    if _numeric(_searchable()[key].annotation) is int:
        return Dimension(key, IntDistribution(int(low), int(high), declared.log, int(step or 1)), int(start))
    return Dimension(key, FloatDistribution(low, high, declared.log, step), float(start))


def _multiples(key: str, declared: Multiples, one: Value) -> Iterator[Value]:
    if not isinstance(one, int | float):
        detail = f"{key} has no value that could be multiplied"
        raise ParameterError(Problem(detail, f"say one (--set {key}=...), or declare its choices", field="space"))
    for factor in declared.times:
        value = one * factor
        if not isinstance(one, int):
            yield value
        elif value % 1 == 0 and value >= 1:
            yield int(value)


def _label(value: Value, numbers: bool) -> Scalar:
    """What Optuna shows of a value: numbers where all are, otherwise texts."""
    if numbers and isinstance(value, int | float):
        return value
    if value is None:
        return LEFT_OPEN
    return value if isinstance(value, str) else json.dumps(value)
