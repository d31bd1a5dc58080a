"""What every experiment comes to: a claim, numbers, a verdict that follows from them, and pictures."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from pipelines.pictures import Picture


@dataclass(frozen=True)
class Lesson:
    """What an experiment teaches.

    Attributes:
        claim: What the textbook says, as one sentence.
        explanation: Why, for a newcomer.
        formulas: The formulas behind it; `_x` and `_{xy}` are lowered, `^x` and `^{xy}` raised.
        source: Where it comes from.
    """

    claim: str
    explanation: str
    formulas: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class Verdict:
    """Whether a claim holds here.

    Attributes:
        holds: Whether it does.
        because: What was measured that says so, as a sentence without a full stop.
    """

    holds: bool
    because: str

    def __str__(self) -> str:
        return f"{'Holds' if self.holds else 'Does not hold here'}, because {self.because}."


@dataclass(frozen=True)
class Experiment:
    """One experiment, done.

    Attributes:
        lesson: What it teaches.
        verdict: What came out.
        numbers: What was measured, JSON-able.
        tables: The same in full, as tidy tables by name.
        pictures: One or two.
        seconds: How long it took.
    """

    lesson: Lesson
    verdict: Verdict
    numbers: dict[str, Any]
    tables: dict[str, pd.DataFrame]
    pictures: tuple[Picture, ...]
    seconds: float = field(default=0.0, compare=False)


def judged(failures: list[str], found: str) -> Verdict:
    """The verdict on a claim of several parts: it holds where none of them fails.

    Args:
        failures: What speaks against it.
        found: What was measured.
    """
    return Verdict(not failures, f"{' and '.join(failures)}: {found}" if failures else found)


def share_in_words(share: float) -> str:
    """A share that may be tiny, or more than all: "58 %", "1 part in 13 million", "2.7 times as much"."""
    if not share > 0:
        return "nothing"
    if share >= 1.5:
        return f"{share:.1f} times as much"
    if share >= 0.0005:
        return f"{100 * share:.2g} %" if share < 0.0995 else f"{share:.0%}".replace("%", " %")
    parts = 1 / share
    for size, name in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if parts >= size:
            number = parts / size
            return f"1 part in {number:.2g} {name}" if number < 999 else f"1 part in 10^{len(f'{parts:.0f}') - 1}"
    return f"1 part in {parts:.0f}"
