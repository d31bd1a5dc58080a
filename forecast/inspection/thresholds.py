"""From where on something is called a fault: one table, each number with its reason.

The rates at which planted faults are found, and healthy networks left alone, are measured by
tests/forecast/inspection/test_planted_faults.py.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Threshold:
    """From where on a number is a fault.

    Attributes:
        value: The number.
        measure: What is compared with it.
        reason: Why there.
    """

    value: float
    measure: str
    reason: str


THRESHOLDS = {
    "vanishing": Threshold(
        1e-5,
        "the oldest state's share of the latest one's gradient",
        "",
    ),
}
