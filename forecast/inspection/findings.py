"""What is wrong with a network, in words: findings from stated thresholds."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pandas as pd

from forecast.inspection.judgement import Performance
from forecast.inspection.results import Result

if TYPE_CHECKING:
    from forecast.inspection.whole import Inspection

Severity = Literal["serious", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("serious", "warning", "note")


@dataclass(frozen=True)
class Finding(Result):
    """One thing that is wrong.

    Attributes:
        code: Short and stable, for programs: "vanishing-gradient", "dead-units", ...
        severity: "serious" (the model should not be used as it is), "warning" or "note".
        layer: Where: a layer's name, or "training", "forecast", "context".
        evidence: What was measured, with its number, in one sentence that a newcomer understands.
        advice: What to try.
        value: The number.
        threshold: From where on it is a fault.
        member: The network of an ensemble; "" for the whole or a single one.
    """

    COLUMNS: ClassVar = ("code", "severity", "layer", "evidence", "advice", "value", "threshold", "member")

    code: str
    severity: Severity
    layer: str
    evidence: str
    advice: str
    value: float
    threshold: float
    member: str = ""

    def summary(self) -> dict[str, Any]:
        return self.to_json()

    def table(self) -> pd.DataFrame:
        """One row."""
        return pd.DataFrame([self.summary()])


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """In order of severity; those alike stay as they were."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


def diagnose(inspection: "Inspection") -> tuple[Finding, ...]:
    """All that is wrong with one network, the worst first."""
    return ()


OF_THE_WHOLE: tuple[Callable[[Performance], Finding | None], ...] = ()
