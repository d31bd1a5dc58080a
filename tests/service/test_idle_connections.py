"""Callers that connect, say half of something and wait: others are answered as if they were not there."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection

import httpx
import numpy as np
import pytest

from tests.service.conftest import Service

BODY = {"inputs": [{"target": [float(hour % 24) for hour in range(168)]}]}
HEAD = b"POST /v1/forecast HTTP/1.1\r\nHost: here\r\n"
JSON = HEAD + b"Content-Type: application/json\r\n"
HALVES = [b"", HEAD, JSON + b"Content-Length: 1000\r\n\r\n{", JSON + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{"]


@contextmanager
def idle(service: Service, count: int) -> Iterator[None]:
    host, port = service.url.removeprefix("http://").split(":")
    with ExitStack() as stack:
        for number in range(count):
            connection = stack.enter_context(socket.create_connection((host, int(port))))
            connection.sendall(HALVES[number % len(HALVES)])
        yield


def seconds(client: httpx.Client, times: int) -> list[float]:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        assert client.post("/v1/forecast", json=BODY).status_code == 200
        taken.append(time.perf_counter() - began)
    return taken


def p99_with_and_without(service: Service, client: httpx.Client, rounds: int, times: int) -> tuple[float, float]:
    """Of one good caller, beside 200 that are idle, and without them; in turns, as the machine has moods."""
    seconds(client, 20)
    beside, alone = list[float](), list[float]()
    for _ in range(rounds):
        alone += seconds(client, times)
        with idle(service, 200):
            beside += seconds(client, times)
    return float(np.quantile(beside, 0.99)), float(np.quantile(alone, 0.99))


def test_idle_connections_hold_nobody_up(service: Service, client: httpx.Client) -> None:
    beside, alone = p99_with_and_without(service, client, rounds=1, times=50)
    assert beside < 20 * alone  # of 50, on a machine that others use: no more than that nobody waits for them


@pytest.mark.slow
def test_idle_connections_do_not_double_p99(service: Service, client: httpx.Client) -> None:
    beside, alone = p99_with_and_without(service, client, rounds=10, times=200)
    print(f"p99 beside 200 idle ones {1000 * beside:.1f} ms, alone {1000 * alone:.1f} ms")
    assert beside < 2 * alone


def test_a_connection_may_rest_between_requests(service: Service) -> None:
    """Longer than uvicorn would let it by itself, so that callers close first and no request meets a closing door."""
    host, port = service.url.removeprefix("http://").split(":")
    caller = HTTPConnection(host, int(port), timeout=30)
    caller.connect()
    socket_before = caller.sock
    for pause in (6, 0):
        caller.request("GET", "/livez")
        assert caller.getresponse().read() == b'{"status":"live"}'
        time.sleep(pause)
    assert caller.sock is socket_before
    caller.close()
