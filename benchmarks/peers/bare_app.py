"""The ceiling: what is left of a service when nothing is checked. `uvicorn benchmarks.peers.bare_app:app`.

It parses the body of the one request that it knows, runs the same network in the same way (all that waits in one
pass, in a thread of its own), and writes the same bytes. No route, no check, no error, no log, no figure, no limit,
no deadline, no second model.
"""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import torch

from forecast import Forecaster
from forecast.calendar import HOUR, calendar_features
from forecast.levels import level_weights

LENGTH = 168
SET = orjson.OPT_SERIALIZE_NUMPY

torch.set_num_threads(1)
model = Forecaster.load(os.environ["BENCHMARK_MODEL"]).compile()
network, hours, static = model.forecasting, model.config.calendar_frequency, torch.empty(1, 0)
steps = np.arange(-LENGTH, model.prediction_length) * np.timedelta64(HOUR, "us")
thread = ThreadPoolExecutor(1)
waiting: list[tuple[Any, "asyncio.Future[npt.NDArray[np.float32]]"]] = []
busy = False


def forward(requests: list[Any]) -> npt.NDArray[np.float32]:
    """Forecasts `(B, 1 + R, H)` of B requests."""
    context = torch.from_numpy(np.array([request["inputs"][0]["target"] for request in requests], np.float32))
    ends = np.array([request["inputs"][0]["start"] for request in requests], "M8[us]") + LENGTH * np.timedelta64(
        HOUR, "us"
    )
    known = torch.from_numpy(calendar_features(hours, ends[:, None] + steps))
    with torch.inference_mode():
        quantiles = network(context, torch.ones_like(context, dtype=torch.bool), known, static.expand(len(context), 0))
        weights = level_weights(model.config.quantile_levels, requests[0]["parameters"]["quantile_levels"])
        return (quantiles.double() @ weights).transpose(1, 2).float().contiguous().numpy()


async def app(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["method"] == "GET":
        await _send(send, b"ready")
        return
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message.get("more_body"):
            break
    request = orjson.loads(body)
    future = asyncio.get_running_loop().create_future()
    waiting.append((request, future))
    if not busy:
        asyncio.get_running_loop().call_soon(_next)
        _mark(True)
    mean, *quantiles = await future
    series, levels = request["inputs"][0], request["parameters"]["quantile_levels"]
    times = np.datetime64(series["start"], "s") + (LENGTH + np.arange(model.prediction_length)) * np.timedelta64(1, "h")
    prediction = {
        "item_id": series["item_id"],
        "timestamps": times,
        "mean": mean,
        "quantiles": {str(level): row for level, row in zip(levels, quantiles, strict=True)},
        "warnings": [],
    }
    version = {"name": "benchmark", "version": "1", "run_id": "0" * 32}
    await _send(send, orjson.dumps({"model": version, "predictions": [prediction]}, option=SET))


def _mark(running: bool) -> None:
    global busy
    busy = running


def _next() -> None:
    _mark(bool(waiting))
    if not waiting:
        return
    some = waiting[:256]
    del waiting[:256]
    work = asyncio.get_running_loop().run_in_executor(thread, forward, [request for request, _ in some])

    def hand_out(done: "asyncio.Future[npt.NDArray[np.float32]]") -> None:
        for row, (_, future) in zip(done.result(), some, strict=True):
            if not future.done():
                future.set_result(row)
        _next()

    work.add_done_callback(hand_out)


async def _send(send: Any, content: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})
