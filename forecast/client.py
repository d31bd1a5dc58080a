"""A client of the forecasting service for pandas users: a long table in, a long table out. Needs no torch.

>>> with Client("http://127.0.0.1:8000", key) as client:
...     forecasts = client.forecast(frame, prediction_length=24)
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import TracebackType
from typing import Any, Self

import httpx
import numpy as np
import pandas as pd

from forecast.errors import (
    DataError,
    ForecastError,
    ModelNotFound,
    ParameterError,
    Problem,
    ServiceUnavailable,
)

ARROW = "application/vnd.apache.arrow.stream"
SERIES_AT_ONCE, ROWS_AT_ONCE = 1_000, 250_000  # of one call: a few megabytes, which the service reads before it answers
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds between two attempts
AGAIN = (429, 502, 503, 504)
SYNONYMS = {"unique_id": "item_id", "ds": "timestamp", "y": "target"}
NOTES = ("warning", "error", "detail", "hint")


@dataclass(frozen=True)
class Retries:
    """How often, and how long, to ask again when the service is not there or has too much to do.

    Attributes:
        attempts: Calls in all.
        first_wait: Seconds before the second one; each further wait is twice as long, up to half a minute. A longer
            `Retry-After` of the service is kept to.
    """

    attempts: int = 6
    first_wait: float = FIRST_WAIT


class Client:
    """Asks a forecasting service.

    Args:
        url: Where it is, such as `http://127.0.0.1:8000`.
        key: An API key, if the service wants one.
        timeout: Seconds that the service may be silent.
        retries: How often to ask again.
    """

    def __init__(
        self, url: str, key: str | None = None, *, timeout: float = 120.0, retries: Retries | None = None
    ) -> None:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._retries = retries or Retries()
        try:
            self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout)
        except (httpx.InvalidURL, ValueError) as error:
            raise ParameterError(Problem(f"the address or the key cannot be used: {error}", "check them")) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def models(self) -> list[dict[str, Any]]:
        """The models that can be asked: what to send to each, and where it comes from.

        Raises:
            ServiceUnavailable: The service does not answer.
            ForecastError: It does not want to.
        """
        answer: list[dict[str, Any]] = self._ask("GET", "/v1/models").json()["models"]
        return answer

    def forecast(
        self,
        series: pd.DataFrame,
        prediction_length: int | None = None,
        *,
        quantile_levels: Sequence[float] | None = None,
        model: str | None = None,
        freq: str | None = None,
        past_covariates: Sequence[str] = (),
        known_covariates: Sequence[str] = (),
        static_covariates: Sequence[str] = (),
        future: pd.DataFrame | None = None,
        on_error: str = "raise",
    ) -> pd.DataFrame:
        """Forecast every series of a long table from its end.

        A large table is sent in several calls, of whole series each.

        Args:
            series: `item_id, timestamp, target` (or `unique_id, ds, y`), and the covariates; rows in any order.
                Without `item_id` it is one series, without `timestamp` the steps are counted.
            prediction_length: Steps; as many as the model was trained for when left out.
            quantile_levels: Levels in (0, 1), by default 0.1, 0.2, ... 0.9.
            model: The model's name; the only one of the service when left out.
            freq: pandas' alias of the frequency; found from the timestamps when left out.
            past_covariates: Columns known for the past alone.
            known_covariates: Columns known in advance.
            static_covariates: Columns with one value for each series.
            future: What is known in advance of the steps to forecast: `item_id, timestamp` and these columns.
            on_error: "raise": the first series that cannot be forecast raises its error, when all were asked for;
                "keep": the others are returned, and `attrs["errors"]` says by item id what is wrong, as the text of
                a `Problem`.

        Returns:
            `item_id, timestamp, mean` and a column for each level, named "0.1", ...; the series in the order of
            their first rows. `attrs["model"]` names the model and version, `attrs["warnings"]` says by item id
            what to know of a series.

        Raises:
            DataError: A series cannot be used or forecast.
            ParameterError: A parameter cannot be used.
            ModelNotFound: The service has no model of that name.
            ServiceUnavailable: The service does not answer, or has too much to do, after all attempts.
        """
        if on_error not in ("raise", "keep"):
            raise ParameterError(Problem(f"on_error={on_error!r}", "write raise or keep", field="on_error"))
        covariates = (*past_covariates, *known_covariates, *static_covariates)
        frame = _with_future(_long(series, covariates), future, known_covariates, static_covariates)
        levels = None if quantile_levels is None else ",".join(map(str, quantile_levels))
        given = {"model": model, "prediction_length": prediction_length, "freq": freq, "quantile_levels": levels}
        parameters = {name: value for name, value in given.items() if value is not None}
        answers: list[pd.DataFrame] = []
        told: dict[str, str] = {}
        for part in _parts(frame):
            answer = self._ask(
                "POST",
                "/v1/forecast:bulk",
                params=parameters,
                content=_to_arrow(part),
                headers={"Content-Type": ARROW, "Accept": ARROW},
            )
            table, told = _from_arrow(answer.content)
            answers.append(table)
        return _put_together(answers, told, on_error)

    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Ask until there is an answer that asking again would not change."""
        last = self._retries.attempts - 1
        for attempt in range(self._retries.attempts):
            wait = min(self._retries.first_wait * 2**attempt, LONGEST_WAIT) * random.uniform(0.5, 1)
            try:
                answer = self._http.request(method, path, **request)
            except httpx.TransportError as error:
                if attempt == last:
                    reason = str(error) or type(error).__name__
                    detail = f"the service at {self._http.base_url} does not answer: {reason}"
                    raise ServiceUnavailable(Problem(detail, "check the address, and that it runs")) from error
            else:
                if answer.is_success:
                    return answer
                if answer.status_code not in AGAIN or attempt == last:
                    raise _error_of(answer)
                wait = max(wait, _retry_after(answer))
            time.sleep(wait)
        raise ParameterError(Problem(f"attempts={self._retries.attempts}", "allow 1 or more", field="attempts"))


def _long(series: pd.DataFrame, covariates: Sequence[str]) -> pd.DataFrame:
    """The columns to send, by the service's names, the rows of each series together and in time's order."""
    frame = series.rename(columns={old: new for old, new in SYNONYMS.items() if new not in series.columns})
    if "item_id" not in frame:
        frame = frame.assign(item_id="series")
    lacking = [name for name in ("target", *covariates) if name not in frame]
    if lacking:
        found = ", ".join(map(repr, map(str, series.columns))) or "none"
        problem = Problem(f"there is no column {lacking[0]!r}; found {found}", "add or rename it", field=lacking[0])
        raise DataError("missing-column", problem)
    if frame.empty:
        raise DataError("empty-table", Problem("the table has no rows", "send at least one series"))
    if frame["item_id"].isna().any():
        raise DataError("bad-item-id", Problem("there are rows without item_id", "name their series", field="item_id"))
    times = ["timestamp"] if "timestamp" in frame else []
    return frame[["item_id", *times, "target", *dict.fromkeys(covariates)]]


def _with_future(
    frame: pd.DataFrame, future: pd.DataFrame | None, known: Sequence[str], static: Sequence[str]
) -> pd.DataFrame:
    """The series, and after each what is known of its steps to forecast: rows without a target."""
    if (future is not None) != bool(known):
        problem = Problem("known_covariates and future go together", "give both or neither", field="future")
        raise ParameterError(problem)
    if future is not None:
        ahead = future.rename(columns={old: new for old, new in SYNONYMS.items() if new not in future.columns})
        if "item_id" not in ahead:
            ahead = ahead.assign(item_id="series")
        lacking = [name for name in ("timestamp", *known) if name not in ahead]
        if lacking:
            problem = Problem(f"future has no column {lacking[0]!r}", "add it", field=lacking[0])
            raise DataError("missing-column", problem)
        ahead = ahead[ahead["item_id"].isin(frame["item_id"])].reindex(columns=["item_id", "timestamp", *known])
        frame = pd.concat([frame, ahead], ignore_index=True)
    codes, _ = pd.factorize(frame["item_id"])
    keys: list[Any] = [frame["timestamp"], codes] if "timestamp" in frame else [codes]
    try:
        order = np.lexsort(keys)
    except TypeError:
        hint = "convert them with pandas.to_datetime"
        raise DataError("bad-timestamp", Problem("the timestamps are of several kinds", hint)) from None
    return frame.iloc[order].reset_index(drop=True)


def _parts(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Whole series, as many as go into one call."""
    names = frame["item_id"].to_numpy()
    starts = np.append(np.flatnonzero(np.append(True, names[1:] != names[:-1])), len(frame))
    begin, count = 0, 0
    for start, end in pairwise(starts.tolist()):
        if count and (count == SERIES_AT_ONCE or end - begin > ROWS_AT_ONCE):
            yield frame.iloc[begin:start]
            begin, count = start, 0
        count += 1
    yield frame.iloc[begin:]


def _to_arrow(frame: pd.DataFrame) -> bytes:
    import pyarrow as pa  # takes a while, and models() does without

    columns: dict[str, Any] = {"item_id": pa.array(frame["item_id"].astype(str), pa.string())}
    for name in frame.columns[1:]:
        column = frame[name]
        if name == "timestamp" and not (
            pd.api.types.is_datetime64_any_dtype(column.dtype) or pd.api.types.is_integer_dtype(column.dtype)
        ):
            column = _times(column)
        if isinstance(column.dtype, pd.CategoricalDtype):
            column = column.astype(column.cat.categories.dtype)
        try:
            if isinstance(column.dtype, pd.DatetimeTZDtype):
                zoned = pa.timestamp("us", pa.lib.tzinfo_to_string(column.dt.tz))
                columns[name] = pa.array(column.dt.tz_convert(None).to_numpy()).cast(zoned)
            else:
                columns[name] = pa.array(column, from_pandas=True)
        except (pa.ArrowException, TypeError, ValueError) as error:
            problem = Problem(f"the column {name!r} cannot be sent: {str(error)[:200]}", "make it numbers or text")
            raise DataError("bad-target" if name == "target" else "bad-covariate", problem) from error
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema.remove_metadata()) as stream:
        stream.write_table(table, max_chunksize=50_000)
    sent: bytes = sink.getvalue().to_pybytes()
    return sent


def _times(column: pd.Series) -> pd.Series:
    try:
        return pd.to_datetime(column)
    except (ValueError, TypeError) as error:
        hint = "convert them with pandas.to_datetime"
        problem = Problem(f"the timestamps cannot be read: {str(error)[:200]}", hint, field="timestamp")
        raise DataError("bad-timestamp", problem) from error


def _from_arrow(content: bytes) -> tuple[pd.DataFrame, dict[str, str]]:
    import pyarrow as pa

    try:
        table = pa.ipc.open_stream(content).read_all()
    except pa.ArrowException as error:
        raise ServiceUnavailable(Problem("the answer broke off", "ask again")) from error
    told = {name.decode(): value.decode() for name, value in (table.schema.metadata or {}).items()}
    return table.to_pandas(), told


def _put_together(answers: Sequence[pd.DataFrame], told: Mapping[str, str], on_error: str) -> pd.DataFrame:
    everything = pd.concat(answers, ignore_index=True)
    refused = everything[everything["error"].notna()]
    errors = {_text(row.item_id): str(Problem(_text(row.detail), _text(row.hint))) for row in refused.itertuples()}
    whole = refused["item_id"].isna()
    if len(refused) and (on_error == "raise" or whole.any()):
        first = refused[whole] if whole.any() else refused
        problems = [
            Problem(_text(row.detail), _text(row.hint), _text(row.item_id) or None)
            for row in first[first["error"] == first["error"].iloc[0]].itertuples()
        ]
        raise _error(str(first["error"].iloc[0]), problems)
    noted = everything[everything["warning"].notna()]
    result = everything[everything["error"].isna()].drop(columns=list(NOTES)).reset_index(drop=True)
    result.attrs = {
        "model": {name: told.get(name) for name in ("model", "version", "run_id")},
        "warnings": dict(zip(noted["item_id"], noted["warning"], strict=True)),
        "errors": errors,
    }
    return result


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _error_of(answer: httpx.Response) -> ForecastError:
    """The library's error for a problem document."""
    try:
        document = answer.json()
        kind = str(document["type"]).removeprefix("/problems/")
        problems = [
            Problem(one["detail"], one.get("hint") or "", one.get("item_id"), _field(one.get("pointer")))
            for one in document.get("errors", ())
        ] or [Problem(document["detail"], f"quote the request's id {document['instance']} if you report this")]
    except (ValueError, KeyError, TypeError):
        kind, problems = "bad-answer", [Problem(f"the service answered {answer.status_code}", "check its address")]
    if answer.status_code in AGAIN:
        return ServiceUnavailable(problems)
    return _error(kind, problems)


def _field(pointer: str | None) -> str | None:
    return pointer.rpartition("/")[2] or None if pointer else None


def _error(kind: str, problems: Sequence[Problem]) -> ForecastError:
    kinds: dict[str, Callable[[Sequence[Problem]], ForecastError]] = {
        "model-not-found": ModelNotFound,
        "bad-parameter": ParameterError,
        "unauthorized": ParameterError,
        "overloaded": ServiceUnavailable,
        "deadline-passed": ServiceUnavailable,
        "internal-error": ServiceUnavailable,
    }
    return kinds[kind](problems) if kind in kinds else DataError(kind, problems)


def _retry_after(answer: httpx.Response) -> float:
    seconds = answer.headers.get("Retry-After", "")
    return float(seconds) if seconds.isdecimal() and len(seconds) < 5 else 0.0
