"""POST /v1/forecast:bulk: what it takes, in which form it answers, and how much of it at once."""

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import pyarrow as pa
from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from forecast.errors import DataError, ParameterError, Problem
from forecast.levels import check_levels
from forecast.predictor import DEFAULT_LEVELS, check_horizon
from service.bulk.call import Call
from service.bulk.frames import Frames, read_frames
from service.bulk.lines import read_lines
from service.bulk.lots import Grid, Lot
from service.bulk.rows import check_schema, read_rows
from service.bulk.writers import LineWriter, RowWriter, Writer
from service.caller import caller_of
from service.engine import Engine
from service.forecasting import located
from service.limits import LIMITS
from service.models import ServedModel
from service.openapi import BULK_ANSWER, BULK_BODY, problems
from service.problems import ProblemError
from service.ready import made_by, named, ready
from service.tables import asked_frequency

ARROW, LINES = "application/vnd.apache.arrow.stream", "application/x-ndjson"
ALIASES = {ARROW: ARROW, LINES: LINES, "application/ndjson": LINES, "application/jsonl": LINES}
AT_ONCE = 4  # calls of a process: they share its model, and each holds some lots in memory

router = APIRouter()


@router.post(
    "/v1/forecast:bulk",
    tags=["Forecast"],
    summary="Forecast any number of series",
    response_class=StreamingResponse,
    responses={**problems(400, 404, 406, 413, 415, 422, 500, 503), 200: BULK_ANSWER},
    openapi_extra=BULK_BODY,
    max_body_size=LIMITS.bulk_bytes,
)
async def forecast_bulk(
    request: Request,
    model: Annotated[str | None, Query(description="The model's name; the only one when left out.")] = None,
    prediction_length: Annotated[str | None, Query(description="Steps to forecast; by default as trained.")] = None,
    freq: Annotated[str | None, Query(description="pandas' alias of the series' frequency.")] = None,
    quantile_levels: Annotated[
        str | None, Query(description="Quantile levels, with commas between them: 0.1,0.5,0.9")
    ] = None,
) -> Response:
    """Forecast each series from its end, in one call for 100,000 of them or more.

    The body is NDJSON, each line a series as in `inputs` of `/v1/forecast`, or an Arrow IPC stream of a long table
    (`item_id`, `timestamp`, `target` and the model's covariates; the rows of a series together). `Accept` chooses
    either form for the answer, by default that of the body. A series that cannot be forecast is refused in its
    place; what breaks the call off once the answer has begun is told last, without an item id. A body of up to
    16 MiB that states its length is read before the answer begins; of any other, read the answer while you send.
    """
    form, wanted = _form_of_body(request), _form_of_answer(request)
    chosen = named(ready(request), model)
    levels = _levels(quantile_levels)
    grid = _grid(chosen, freq, prediction_length, levels)
    engine: Engine = request.app.state.engine
    body = _Body(request)
    await body.read_if_short()
    schema = None
    lots: AsyncIterator[Lot]
    if form == ARROW:
        frames = Frames()
        batches = read_frames(body.chunks(), frames)
        found = [batch async for batch in batches] if body.is_read else [batch async for batch in _first(batches)]
        schema = frames.schema or pa.schema([])
        check_schema(schema, grid.covariates)
        lots = read_rows(_chain(found, batches))
    else:
        lots = read_lines(body.chunks())
    writer: Writer
    request_id = request.state.request_id
    if (wanted or form) == ARROW:
        writer = RowWriter(chosen, levels, request_id, _time_type(schema))
    else:
        writer = LineWriter(chosen, levels, request_id)
    caller = caller_of(request, engine.limits)
    call = Call(chosen, engine, grid, levels, lambda: body.is_read and caller.has_gone())
    pieces = _in_turn(request, call.answer(lots, writer))
    first = await anext(pieces)
    request.state.log["model"] = str(chosen)
    return _Stream(_chain([first], pieces), media_type=wanted or form, headers=made_by(chosen))


class _Body:
    """A request's body, once read or chunk by chunk."""

    def __init__(self, request: Request) -> None:
        self._request, self.is_read = request, False

    async def read_if_short(self) -> None:
        """Read a body that says that it is short: its sender need not read while it sends."""
        length = self._request.headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) <= LIMITS.body_bytes:
            await self._request.body()
            self.is_read = True

    async def chunks(self) -> AsyncIterator[bytes]:
        """What there is of it, as it comes."""
        async for chunk in self._request.stream():
            yield chunk
        self.is_read = True


class _Stream(StreamingResponse):
    """A streamed answer that leaves the rest of the request's body to those who read it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.stream_response(send)


async def _in_turn(request: Request, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces of an answer, as long as not too many calls are under way."""
    state = request.app.state
    under_way = getattr(state, "bulk_calls", 0)
    if under_way >= AT_ONCE:
        detail = f"{AT_ONCE} bulk calls are under way; ask again later"
        raise ProblemError("overloaded", detail=detail, headers={"Retry-After": "5"})
    state.bulk_calls = under_way + 1
    try:
        async for piece in pieces:
            yield piece
    finally:
        state.bulk_calls -= 1


async def _first(batches: AsyncIterator[pa.RecordBatch]) -> AsyncIterator[pa.RecordBatch]:
    """The first batch, if there is one."""
    first = await anext(batches, None)
    if first is not None:
        yield first


async def _chain(found: list[Any], others: AsyncIterator[Any]) -> AsyncIterator[Any]:
    for one in found:
        yield one
    async for one in others:
        yield one


def _form_of_body(request: Request) -> str:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise ProblemError("unsupported-media-type", detail="the body is compressed; send it as it is")
    if given not in ALIASES:
        detail = f"the body's Content-Type is {given[:50] or 'not given'}; send {LINES} or {ARROW}"
        raise ProblemError("unsupported-media-type", detail=detail, headers={"Accept-Post": f"{LINES}, {ARROW}"})
    return ALIASES[given]


def _form_of_answer(request: Request) -> str | None:
    """What `Accept` names; None where anything goes."""
    ranges = [one.split(";") for one in request.headers.get("accept", "*/*").lower().split(",")]
    for media_type, *parameters in ranges:
        if any(one.replace(" ", "") in ("q=0", "q=0.0") for one in parameters):
            continue
        if media_type.strip() in ("*/*", "application/*"):
            return None
        if media_type.strip() in ALIASES:
            return ALIASES[media_type.strip()]
    raise ProblemError("not-acceptable", detail=f"the answer is {LINES} or {ARROW}; accept one of them")


def _grid(chosen: ServedModel, freq: str | None, prediction_length: str | None, levels: tuple[float, ...]) -> Grid:
    forecaster = chosen.forecaster
    trained = forecaster.config.quantile_levels
    try:
        horizon = forecaster.prediction_length
        if prediction_length is not None:
            horizon = _number(prediction_length, int, "prediction_length", "a whole number")
        grid = Grid(forecaster.config.series_frequency, freq, forecaster.covariates, horizon)
        check_horizon(horizon, forecaster.longest_horizon)
        check_levels(levels, trained[0], trained[-1])
        asked_frequency(freq, grid.model)
    except (DataError, ParameterError) as error:
        raise located(error) from error
    return grid


def _levels(text: str | None) -> tuple[float, ...]:
    if text is None:
        return DEFAULT_LEVELS
    try:
        levels = tuple(
            _number(level, float, "quantile_levels", "a list of numbers") for level in text.split(",") if level.strip()
        )
        if len(levels) > LIMITS.quantile_levels:
            problem = Problem(f"{len(levels)} quantile levels, {LIMITS.quantile_levels} are taken", "ask for fewer")
            raise ParameterError(problem)
    except ParameterError as error:
        raise located(error) from error
    return levels


def _number(text: str, kind: Callable[[str], Any], name: str, what: str) -> Any:
    try:
        return kind(text[:20])
    except ValueError:
        problem = Problem(f"{name}={text[:50]} is not {what}", "correct it, or leave it out", field=name)
        raise ParameterError(problem) from None


def _time_type(schema: pa.Schema | None) -> pa.DataType:
    """Of the answer's timestamps: text where the series came as lines."""
    if schema is None:
        return pa.string()
    kind = schema.field("timestamp").type if "timestamp" in schema.names else pa.int64()
    return kind if pa.types.is_integer(kind) else pa.timestamp("us", getattr(kind, "tz", None))
