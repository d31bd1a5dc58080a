"""What can go wrong, as one small tree.

    ForecastError
    ├── DataError             the series given cannot be used
    ├── ParameterError        an option or an argument cannot be used
    ├── ModelError            a saved model cannot be used
    │   ├── ModelNotFound     there is none under that name
    │   └── ModelDamaged      its files are missing, altered or do not fit together
    ├── TrainingError         training went wrong: the loss is no longer a number
    ├── RegistryUnavailable   the tracking store or model registry does not answer
    ├── ServiceUnavailable    a forecasting service does not answer, or has too much to do
    └── DiskFull              there is no room left for what must be kept

    DataWarning               the series can be used; something about them is worth knowing

Every error carries a `code` (short, stable, for programs) and `problems` (for people): what was
found, where, and what to do about it. All but the last four branches are the caller's to mend.
"""

import copyreg
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

PROBLEMS_SHOWN, PROBLEMS_TOLD = 5, 100  # of an error: to people, and to programs
_CREDENTIALS = re.compile(r"//[^/\s]*@")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the input.

    Attributes:
        detail: What was found and what was expected, as one sentence.
        hint: What to do about it.
        item_id: The series concerned, where it is one.
        field: The column or option concerned: "target", "timestamp", "prediction_length", ...
    """

    detail: str
    hint: str = ""
    item_id: str | None = None
    field: str | None = None

    def __str__(self) -> str:
        return f"{self.detail}; {self.hint}" if self.hint else self.detail


class ForecastError(Exception):
    """The root of the tree; its message lists the first problems."""

    code: str = "forecast-error"

    def __init__(self, problems: Sequence[Problem] | Problem) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        lines = [str(problem) for problem in self.problems[:PROBLEMS_SHOWN]]
        if len(self.problems) > PROBLEMS_SHOWN:
            lines.append(f"... and {len(self.problems) - PROBLEMS_SHOWN} more")
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by what it holds, as some kinds are made from other arguments: errors come back from processes."""
        return copyreg.__newobj__, (type(self), *self.args), vars(self)  # type: ignore[attr-defined]


class DataError(ForecastError, ValueError):
    """The series given cannot be used. `code` says which check they failed."""

    CODES: ClassVar[dict[str, str]] = {
        "no-such-file": "No such file",
        "unreadable-file": "Unreadable file",
        "query-failed": "Database query failed",
        "missing-column": "Missing column",
        "duplicate-column": "Duplicate column",
        "empty-table": "Empty table",
        "bad-item-id": "Bad item id",
        "bad-timestamp": "Bad timestamp",
        "bad-target": "Target is not a number",
        "bad-covariate": "Covariate cannot be used",
        "missing-covariate": "Covariate missing",
        "infinite-value": "Infinite value",
        "value-too-large": "Value too large",
        "all-missing": "All values missing",
        "duplicate-timestamps": "Duplicate timestamps",
        "mixed-frequencies": "Mixed frequencies",
        "irregular-timestamps": "Irregular timestamps",
        "unknown-frequency": "Frequency cannot be told",
        "frequency-mismatch": "Frequency does not fit the model",
        "too-sparse": "Too few values on the time grid",
        "series-too-short": "Series too short",
    }

    def __init__(self, code: str, problems: Sequence[Problem] | Problem) -> None:
        super().__init__(problems)
        self.code = code


class ParameterError(ForecastError, ValueError):
    """An option or an argument cannot be used."""

    code = "bad-parameter"


class ModelError(ForecastError):
    """A saved model cannot be used."""

    code = "model-error"


class ModelNotFound(ModelError):
    """There is no model under that name."""

    code = "model-not-found"


class ModelDamaged(ModelError):
    """A saved model's files are missing, altered, or do not fit together."""

    code = "model-damaged"


class TrainingError(ForecastError):
    """Training went wrong: the loss is no longer a number."""

    code = "training-failed"


class RegistryUnavailable(ForecastError):
    """The tracking store or model registry does not answer. Its message never holds a password."""

    code = "registry-unavailable"

    def __init__(self, problem: Problem) -> None:
        super().__init__(replace(problem, detail=without_password(problem.detail)))


class ServiceUnavailable(ForecastError):
    """A forecasting service does not answer, or has too much to do."""

    code = "service-unavailable"


class DiskFull(ForecastError):
    """There is no room left for what must be kept."""

    code = "disk-full"


class DataWarning(UserWarning):
    """The series can be used; something about them is worth knowing."""


def without_password(text: str) -> str:
    """A text whose addresses have lost the user and password they may hold."""
    return _CREDENTIALS.sub("//", text)
