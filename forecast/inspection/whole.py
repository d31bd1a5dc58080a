"""Everything about a network at once, and what is wrong with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd
import torch

from forecast.config import ForecasterConfig
from forecast.inspection.convolution import FrequencyResponse, ReceptiveField, frequency_responses, receptive_field
from forecast.inspection.findings import Finding, diagnose, diagnose_whole, worst_first
from forecast.inspection.forward import LayerStatistics, activations, codes, states
from forecast.inspection.gradients import ParameterGradients, StateGradients, parameter_gradients, state_gradients
from forecast.inspection.judgement import Performance, judge, performance
from forecast.inspection.learning import LearningCurve, LearningRateReading, learning_curves
from forecast.inspection.looking import thinned
from forecast.inspection.reach import Connectivity, connectivity
from forecast.inspection.results import Result, by_member
from forecast.inspection.sample import judged_windows, sample_windows
from forecast.inspection.spectrum import Spectrum, recurrent_spectrum
from forecast.inspection.units import (
    ForgetTimes,
    GateHealth,
    UnitHealth,
    effective_dimension,
    forget_times,
    gate_health,
    unit_health,
)
from forecast.networks import Ensemble, Network
from forecast.table import SeriesTable
from forecast.windows import Batch

if TYPE_CHECKING:
    from forecast.inspection.recorder import TrainingGradients

T = TypeVar("T")

TRACED = 64  # windows of the views that go back through time


@dataclass(frozen=True)
class Inspection(Result):
    """Everything about one network. What it has not got (gates of a CNN, kernels of an LSTM) is empty.

    Attributes:
        name: Its kind, in an ensemble after its number: "lstm", "2 gru".
        layers: What every layer says, in a few numbers.
        units: Dead and saturated units by layer.
        gates: Saturated gates by layer and gate.
        forget_times: By layer.
        dimensions: Directions that the states of each layer span, or the code of a network without recurrence.
        field: How far back it can look.
        responses: Which rhythms its kernels pass.
        gradients: The loss's gradient by group of parameters.
        state_gradients: The same by step of the recurrence and layer.
        connectivity: What each step ahead rests on.
        spectra: Eigenvalues by layer.
        performance: On windows it did not learn from.
        curve: How it learnt; None for a network whose training was not seen.
        training: Its gradients while it was trained; None where they were not recorded.
        learning_rate: Where its learning rate lies; None where that was not tested.
        findings: What is wrong, the worst first.
    """

    name: str
    layers: tuple[LayerStatistics, ...]
    units: tuple[UnitHealth, ...]
    gates: tuple[GateHealth, ...]
    forget_times: tuple[ForgetTimes, ...]
    dimensions: dict[str, float]
    field: ReceptiveField
    responses: tuple[FrequencyResponse, ...]
    gradients: ParameterGradients
    state_gradients: tuple[StateGradients, ...]
    connectivity: Connectivity
    spectra: tuple[Spectrum, ...]
    performance: Performance
    curve: LearningCurve | None = None
    training: "TrainingGradients | None" = None
    learning_rate: LearningRateReading | None = None
    findings: tuple[Finding, ...] = ()

    def summary(self) -> dict[str, Any]:
        parts = ("layers", "units", "gates", "forget_times", "responses", "state_gradients", "spectra")
        single = ("field", "gradients", "connectivity", "performance", "curve", "training", "learning_rate")
        found = {name: getattr(self, name) for name in single}
        return {
            "name": self.name,
            "findings": [finding.summary() for finding in self.findings],
            "dimensions": self.dimensions,
            **{name: [one.summary() for one in getattr(self, name)] for name in parts},
            **{name: one.summary() for name, one in found.items() if one is not None},
        }

    def table(self) -> pd.DataFrame:
        """The findings; `tables()` holds the rest."""
        return pd.DataFrame([finding.summary() for finding in self.findings], columns=list(Finding.COLUMNS))

    def tables(self) -> dict[str, pd.DataFrame]:
        """Every part as a tidy table, by its name; parts that are empty are left out."""
        found = {"findings": self.table()}
        for name, part in vars(self).items():
            parts = part if isinstance(part, tuple) else (part,)
            frames = [one.table() for one in parts if isinstance(one, Result)]
            if frames and name != "findings":
                found[name] = pd.concat(frames, ignore_index=True)
        return found


@dataclass(frozen=True)
class ModelInspection(Result):
    """A forecaster, member by member, and as a whole.

    Attributes:
        members: One for each network.
        performance: The whole on windows its networks did not learn from, calibrated.
        findings: Those of all members and of the whole, the worst first.
    """

    members: tuple[Inspection, ...]
    performance: Performance
    findings: tuple[Finding, ...]

    def summary(self) -> dict[str, Any]:
        """`findings` first: that is what a reader wants."""
        return {
            "findings": [finding.summary() for finding in self.findings],
            "performance": self.performance.summary(),
            "members": [member.summary() for member in self.members],
        }

    def table(self) -> pd.DataFrame:
        """The findings."""
        return pd.DataFrame([finding.summary() for finding in self.findings], columns=list(Finding.COLUMNS))

    def tables(self) -> dict[str, pd.DataFrame]:
        """Every part of every member as a tidy table with a column `member`."""
        tables = by_member((member.name, member.tables()) for member in self.members)
        return {**tables, "findings": self.table(), "performance_of_the_whole": self.performance.table()}


def inspect_network(
    network: Network,
    batch: Batch,
    judged: Batch,
    config: ForecasterConfig,
    name: str = "",
    curve: LearningCurve | None = None,
    training: "TrainingGradients | None" = None,
    learning_rate: LearningRateReading | None = None,
) -> Inspection:
    """Look at one network from all sides.

    Args:
        network: The network; not changed.
        batch: Windows to look with, with their targets (`sample_windows`).
        judged: Windows to judge by, not learnt from (`judged_windows`).
        config: The resolved configuration of this network alone.
        name: What to call it; its kind when left out.
        curve: How it learnt.
        training: What was recorded while it did.
        learning_rate: A range test, read.
    """
    few = thinned(batch, TRACED)
    seen, done = activations(network, batch), states(network, batch)
    spans = {f"encoder.recurrence.{state.layer}": state.hidden for state in done} or {"encoder": codes(network, batch)}
    unit = config.training.error_unit
    found = Inspection(
        name=name or config.network.kind,
        layers=seen.statistics,
        units=unit_health(network, seen, done),
        gates=gate_health(done),
        forget_times=forget_times(network, done),
        dimensions={layer: effective_dimension(values) for layer, values in spans.items()},
        field=receptive_field(network),
        responses=frequency_responses(network),
        gradients=parameter_gradients(network, few, unit),
        state_gradients=state_gradients(network, few, unit),
        connectivity=connectivity(network, batch),
        spectra=recurrent_spectrum(network, few),
        performance=performance(network, judged),
        curve=curve,
        training=training,
        learning_rate=learning_rate,
    )
    return replace(found, findings=diagnose(found))


def inspect_model(
    config: ForecasterConfig,
    ensemble: Ensemble,
    table: SeriesTable,
    history: Sequence[Mapping[str, float]] = (),
    trainings: "Sequence[TrainingGradients]" = (),
    learning_rates: Sequence[LearningRateReading] = (),
) -> ModelInspection:
    """Look at a forecaster from all sides, member by member.

    Args:
        config: Its resolved configuration (`Forecaster.config`).
        ensemble: Its networks (`Forecaster.network`); not changed.
        table: The series it was trained on, as they were given to `fit`: their last windows, kept from training, are
            what it is judged by. Any others will do as well.
        history: The losses by epoch (`Forecaster.history`), where its training was seen.
        trainings: What a `GradientRecorder` saw, one for each member; any other number is left out.
        learning_rates: A range test for each member, read; any other number is left out.

    Raises:
        DataError: No series is long enough.
    """
    batch, judged = sample_windows(config, table), judged_windows(config, table)
    curves = learning_curves(history)
    members, size = [], len(ensemble.members)
    for number, (name, one, network) in enumerate(zip(config.names, config.networks, ensemble.members, strict=True)):
        seen = (_of(number, curves, size), _of(number, trainings, size), _of(number, learning_rates, size))
        members.append(inspect_network(network, batch, judged, one, name, *seen))
    with torch.no_grad():
        quantiles = ensemble(judged.context, judged.observed, judged.known, judged.static)
    shortcuts = tuple({season for network in ensemble.members for season in network.shortcuts})
    whole = judge(quantiles, torch.tensor(config.quantile_levels), shortcuts, judged)
    found = [replace(finding, member=member.name) for member in members for finding in member.findings]
    if config.members:  # one network alone has been judged
        found += diagnose_whole(whole)
    return ModelInspection(tuple(members), whole, worst_first(found))


def _of(number: int, parts: Sequence[T], members: int) -> T | None:
    """A member's part; None where there is not one for each, for whose is whose could not be told."""
    return parts[number] if len(parts) == members else None
