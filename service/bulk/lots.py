"""What a bulk call works on at a time: some hundred series, read but not yet checked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from forecast.calendar import Frequency, Ints
from forecast.config import CovariatesConfig
from forecast.errors import Problem
from forecast.sifting import Fault, Faults
from service.tables import Part

SERIES, ROWS, BYTES = 256, 50_000, 2**20  # of a lot; a longer series is a lot alone


@dataclass(frozen=True)
class Grid:
    """What a call asks of all its series, beside a forecast.

    Attributes:
        model: The model's grid.
        freq: The frequency that the caller named.
        covariates: Those that the model reads.
        prediction_length: Steps H to forecast.
    """

    model: Frequency
    freq: str | None
    covariates: CovariatesConfig
    prediction_length: int


class Lot(Protocol):
    """N series in the order they came."""

    @property
    def item_ids(self) -> Sequence[str]:
        """`(N,)` their names."""
        ...

    @property
    def faults(self) -> Faults:
        """What is wrong with some of them already."""
        ...

    def lay_out(self, kept: Ints, grid: Grid) -> list[Part]:
        """Check the series at `kept` and put them on grids; a part's places count among `kept`.

        Raises:
            DataError: A series cannot be used.
        """
        ...


@dataclass
class Seen:
    """The item ids of a call, by their hashes: a million of them are told apart in little memory."""

    most: int
    _hashes: set[int] = field(default_factory=set)

    def fault(self, item_id: str) -> Fault | None:
        """Note an item id; say what is wrong with it, if it came before or is one too many."""
        number = hash(item_id)
        if number in self._hashes:
            detail = f"{item_id!r} came before in this call"
            hint = "give every series a name of its own, and send the rows of a series together"
            return Fault("bad-item-id", Problem(detail, hint, item_id, "item_id"))
        if len(self._hashes) >= self.most:
            return Fault("too-much", Problem(f"more than {self.most} series in one call", "call again", item_id))
        self._hashes.add(number)
        return None
