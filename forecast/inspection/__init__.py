"""What happens inside a network: forward, backward, while it learns, and for one forecast.

Pure: a network and windows in, frozen dataclasses of arrays out. Nothing is drawn, logged or sent, and the network
that is looked at is copied, never changed. Each result has `summary()` (JSON-able, the few numbers that say most),
`to_json()` (all of it, JSON-able) and `table()` (a tidy pandas table). An ensemble is looked at member by member.

Quick start:

    from forecast import inspection

    network = model.network.members[0]
    batch = inspection.sample_windows(model.config, table)
    inspection.states(network, batch)[0].gates["forget"]      # (B, N, D)
    inspection.connectivity(network, batch).summary()
    inspection.inspect_model(model.config, model.network, table, model.history).findings

Names are imported when first used: what trains (`GradientRecorder`, `compare_optimizers`) needs Lightning, the rest
does not.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forecast.inspection.convolution import FrequencyResponse, ReceptiveField, frequency_responses, receptive_field
    from forecast.inspection.explanation import Attribution, CovariateEffects, attribution, covariate_effects
    from forecast.inspection.findings import Finding
    from forecast.inspection.forward import Activations, Layer, LayerStatistics, States, activations, codes, states
    from forecast.inspection.gradients import ParameterGradients, StateGradients, parameter_gradients, state_gradients
    from forecast.inspection.judgement import Performance, judge, performance
    from forecast.inspection.landscape import Landscape, loss_landscape
    from forecast.inspection.learning import LearningCurve, LearningRateReading, learning_curves, read_learning_rate
    from forecast.inspection.neighbours import SimilarWindows, similar_windows
    from forecast.inspection.optimizers import OptimizerComparison, compare_optimizers
    from forecast.inspection.reach import Connectivity, connectivity
    from forecast.inspection.recorder import GradientRecorder, TrainingGradients
    from forecast.inspection.sample import judged_windows, latest_windows, sample_windows
    from forecast.inspection.single import ForecastInspection, inspect_forecast
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
    from forecast.inspection.whole import Inspection, ModelInspection, inspect_model, inspect_network

_HOMES = {
    "explanation": ("Attribution", "CovariateEffects", "attribution", "covariate_effects"),
    "reach": ("Connectivity", "connectivity"),
    "convolution": ("FrequencyResponse", "ReceptiveField", "frequency_responses", "receptive_field"),
    "findings": ("Finding",),
    "forward": ("Activations", "Layer", "LayerStatistics", "States", "activations", "codes", "states"),
    "gradients": ("ParameterGradients", "StateGradients", "parameter_gradients", "state_gradients"),
    "landscape": ("Landscape", "loss_landscape"),
    "learning": ("LearningCurve", "LearningRateReading", "learning_curves", "read_learning_rate"),
    "neighbours": ("SimilarWindows", "similar_windows"),
    "optimizers": ("OptimizerComparison", "compare_optimizers"),
    "judgement": ("Performance", "judge", "performance"),
    "recorder": ("GradientRecorder", "TrainingGradients"),
    "sample": ("judged_windows", "latest_windows", "sample_windows"),
    "single": ("ForecastInspection", "inspect_forecast"),
    "spectrum": ("Spectrum", "recurrent_spectrum"),
    "units": (
        "ForgetTimes",
        "GateHealth",
        "UnitHealth",
        "effective_dimension",
        "forget_times",
        "gate_health",
        "unit_health",
    ),
    "whole": ("Inspection", "ModelInspection", "inspect_model", "inspect_network"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Activations",
    "Attribution",
    "Connectivity",
    "CovariateEffects",
    "Finding",
    "ForecastInspection",
    "ForgetTimes",
    "FrequencyResponse",
    "GateHealth",
    "GradientRecorder",
    "Inspection",
    "Landscape",
    "Layer",
    "LayerStatistics",
    "LearningCurve",
    "LearningRateReading",
    "ModelInspection",
    "OptimizerComparison",
    "ParameterGradients",
    "Performance",
    "ReceptiveField",
    "SimilarWindows",
    "Spectrum",
    "StateGradients",
    "States",
    "TrainingGradients",
    "UnitHealth",
    "activations",
    "attribution",
    "codes",
    "compare_optimizers",
    "connectivity",
    "covariate_effects",
    "effective_dimension",
    "forget_times",
    "frequency_responses",
    "gate_health",
    "inspect_forecast",
    "inspect_model",
    "inspect_network",
    "judge",
    "judged_windows",
    "latest_windows",
    "learning_curves",
    "loss_landscape",
    "parameter_gradients",
    "performance",
    "read_learning_rate",
    "receptive_field",
    "recurrent_spectrum",
    "sample_windows",
    "similar_windows",
    "state_gradients",
    "states",
    "unit_health",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
