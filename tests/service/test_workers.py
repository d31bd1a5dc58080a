"""Several workers, and callers that leave, hurry or come in crowds."""

import json
import os
import re
import signal
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest

from tests.service.conftest import TINY, Service, Start
from tests.service.test_models_come_and_go import BODY, metric, until

WORKERS = 2


@pytest.fixture(scope="module")
def pool(start: Start) -> Service:
    running = start(FORECAST_MODEL=str(TINY), FORECAST_WORKERS=str(WORKERS))
    running.wait_until_ready()
    until(lambda: ready(running) == WORKERS)
    return running


def ready(service: Service) -> int:
    """How many workers have ever been ready."""
    return sum(line["message"].startswith("ready: ") for line in service.logged())


def workers(service: Service) -> set[int]:
    pid = service.process.pid
    return {int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def kill_workers(pool: Service, times: int, within: float) -> None:
    """Kill a worker again and again while callers ask; only what it was answering is lost."""
    over, callers = threading.Event(), 4
    answers: list[int] = []
    lost: list[str] = []

    def ask() -> None:
        with httpx.Client(base_url=pool.url, timeout=60) as client:
            while not over.is_set():
                try:
                    answers.append(client.post("/v1/forecast", json=BODY).status_code)
                except httpx.TransportError as error:
                    lost.append(repr(error))

    threads = [threading.Thread(target=ask) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for _ in range(times):
        before, count = workers(pool), ready(pool)
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        began = time.monotonic()
        until(lambda count=count: ready(pool) > count)  # type: ignore[misc]
        assert time.monotonic() - began < within
        assert len(workers(pool)) == WORKERS
        assert victim not in workers(pool)
    over.set()
    for thread in threads:
        thread.join()
    assert set(answers) == {200}
    assert len(lost) <= times * callers
    assert len(answers) > times


def test_a_killed_worker_is_replaced(pool: Service) -> None:
    kill_workers(pool, 2, within=30)


@pytest.mark.slow
def test_fifty_killed_workers_are_replaced_within_two_seconds(pool: Service) -> None:
    kill_workers(pool, 50, within=2)


def test_every_worker_tells_of_all(pool: Service) -> None:
    before = metric(pool, "forecast_series_total")
    for _ in range(20):
        assert httpx.post(pool.url + "/v1/forecast", json=BODY, timeout=60).status_code == 200  # a connection each
    assert metric(pool, "forecast_series_total") == before + 20
    assert metric(pool, "forecast_queue_series") == 0
    assert metric(pool, "forecast_resident_memory_bytes") > 2e8


def test_workers_that_cannot_begin_end_it_all(start: Start, tmp_path: Path) -> None:
    failed = start(FORECAST_MODEL=str(tmp_path), FORECAST_WORKERS="2")
    assert failed.process.wait(timeout=60) == 2
    assert "error: there is no model in" in failed.log.read_text()
    assert "Traceback" not in failed.log.read_text()


def leave(service: Service, calls: int, good: int) -> None:
    """Half of the callers leave once they have asked; those after them notice nothing."""
    body = json.dumps(BODY).encode()
    fields = ["Host: x", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    head = "\r\n".join(["POST /v1/forecast HTTP/1.1", *fields, "", ""])
    port = int(service.url.rpartition(":")[2])
    before = metric(service, 'forecast_requests_total{method="POST"')
    callers = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(calls)]
    for caller in callers:
        caller.sendall(head.encode() + body)
    for caller in callers[::2]:
        caller.close()
    for caller in callers[1::2]:
        assert caller.recv(15) == b"HTTP/1.1 200 OK"
        caller.close()
    with httpx.Client(base_url=service.url, timeout=60) as client:
        assert {client.post("/v1/forecast", json=BODY).status_code for _ in range(good)} == {200}
    assert metric(service, "forecast_queue_series") == 0
    until(lambda: metric(service, 'forecast_requests_total{method="POST"') == before + calls + good)


def test_half_of_the_callers_leave(service: Service) -> None:
    leave(service, calls=40, good=50)


@pytest.mark.slow
def test_half_of_many_callers_leave(service: Service) -> None:
    leave(service, calls=1000, good=1000)


@pytest.mark.parametrize("given", ["0", "-1", "nan", "soon", ""])
def test_a_time_out_that_is_none(client: httpx.Client, given: str) -> None:
    answer = client.post("/v1/forecast", json=BODY, headers={"X-Request-Timeout": given})
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/bad-request")
    assert "X-Request-Timeout" in answer.json()["detail"]


def test_too_late_to_begin(client: httpx.Client) -> None:
    answer = client.post("/v1/forecast", json=BODY, headers={"X-Request-Timeout": "0.0000001"})
    assert (answer.status_code, answer.json()["type"]) == (504, "/problems/deadline-passed")
    assert client.post("/v1/forecast", json=BODY, headers={"X-Request-Timeout": "30"}).status_code == 200


def overload(service: Service, callers: int, seconds: float, timeout: float) -> None:
    """Far more callers than can be answered in time: those accepted are in time, the others know it at once."""
    body = {**BODY, "inputs": [{"item_id": str(i), **BODY["inputs"][0]} for i in range(100)]}
    over = time.monotonic() + seconds
    seen: list[tuple[int, float, str]] = []

    def ask() -> None:
        with httpx.Client(base_url=service.url, timeout=60) as client:
            while time.monotonic() < over:
                answer = client.post("/v1/forecast", json=body, headers={"X-Request-Timeout": str(timeout)})
                assert httpx.get(service.url + "/livez", timeout=60).status_code == 200
                seen.append((answer.status_code, answer.elapsed.total_seconds(), answer.headers.get("Retry-After", "")))

    threads = [threading.Thread(target=ask) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {status for status, _, _ in seen} <= {200, 503, 504}
    assert sum(status == 200 for status, _, _ in seen) > 0
    refused = [retry for status, _, retry in seen if status == 503]
    assert refused
    assert all(re.fullmatch("[1-9][0-9]*", retry) for retry in refused)
    assert httpx.post(service.url + "/v1/forecast", json=BODY, timeout=60).status_code == 200
    assert metric(service, "forecast_queue_series") == 0


def test_a_crowd_is_answered_or_turned_away(start: Start) -> None:
    running = start(FORECAST_MODEL=str(TINY), FORECAST_QUEUE_SERIES="300")
    running.wait_until_ready()
    overload(running, callers=16, seconds=2, timeout=30)


@pytest.mark.slow
def test_a_minute_of_three_times_too_much(start: Start) -> None:
    running = start(FORECAST_MODEL=str(TINY), FORECAST_QUEUE_SERIES="1000")
    running.wait_until_ready()
    overload(running, callers=48, seconds=60, timeout=5)


def test_sigterm_is_seen_before_the_door_closes(start: Start) -> None:
    running = start(FORECAST_MODEL=str(TINY), FORECAST_DRAIN_SECONDS="3")
    running.wait_until_ready()
    running.process.send_signal(signal.SIGTERM)
    until(lambda: httpx.get(running.url + "/readyz").status_code == 503, 2)
    assert httpx.post(running.url + "/v1/forecast", json=BODY, timeout=60).status_code == 200
    assert httpx.get(running.url + "/livez").status_code == 200
    assert running.process.wait(timeout=30) == 0
    assert "Traceback" not in running.log.read_text()


def test_sigterm_ends_all_workers(pool: Service) -> None:
    there = workers(pool)
    pool.process.send_signal(signal.SIGTERM)
    assert pool.process.wait(timeout=30) == 0
    assert not [pid for pid in there if Path(f"/proc/{pid}").exists()]
    assert "Traceback" not in pool.log.read_text()


def test_traces_are_passed_on(client: httpx.Client, service: Service) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    given = f"00-{trace}-00f067aa0ba902b7-01"
    answer = client.get("/livez", headers={"traceparent": given, "X-Request-ID": "traced"})
    assert re.fullmatch(f"00-{trace}-[0-9a-f]{{16}}-01", answer.headers["traceresponse"])
    assert answer.headers["traceresponse"] != given
    assert "traceresponse" not in client.get("/livez", headers={"traceparent": "00-" + "0" * 32 + "-1-01"}).headers
    until(lambda: any(line.get("request_id") == "traced" for line in service.logged()), 5)
    [line] = [line for line in service.logged() if line.get("request_id") == "traced"]
    assert (line["trace_id"], line["parent_id"]) == (trace, "00f067aa0ba902b7")
    assert answer.headers["traceresponse"].split("-")[2] == line["span_id"]
