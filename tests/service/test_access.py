"""Who may ask, and how often: keys, rates, headers, and callers that are too slow."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.errors import ParameterError
from service.access.keys import Keys, make_key, parse_keys
from service.access.rates import RateLimit
from service.access.settings import AccessSettings
from tests.service.conftest import TINY, Service, Start

KEY, ENTRY = make_key("shop")
BODY = {"inputs": [{"target": [float(hour % 24) for hour in range(48)]}]}


@pytest.fixture(scope="module")
def guarded(start: Start, tmp_path_factory: pytest.TempPathFactory) -> tuple[Service, Path]:
    """A service with a key in its environment, another in a file, five requests at once and one in ten seconds."""
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text(f"# who may ask\n{make_key('first')[1]}\n")
    running = start(
        FORECAST_MODEL=str(TINY),
        FORECAST_API_KEYS=ENTRY,
        FORECAST_API_KEYS_FILE=str(file),
        FORECAST_RATE_LIMIT="0.1",
        FORECAST_RATE_BURST="5",
        FORECAST_CORS_ORIGINS="https://page.example",
    )
    running.wait_until_ready()
    return running, file


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_without_a_key_nothing_is_told(guarded: tuple[Service, Path]) -> None:
    service, _ = guarded
    for headers in ({}, bearer(KEY[:-1]), {"Authorization": KEY}, {"X-API-Key": KEY}):
        for path in ("/v1/models", "/v1/models/tiny-lstm", "/metrics", "/nowhere"):
            answer = httpx.get(service.url + path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.json()["type"] == "/problems/unauthorized"
            assert "tiny" not in answer.text
        assert httpx.post(service.url + "/v1/forecast", json=BODY, headers=headers).status_code == 401
    assert httpx.get(service.url + "/livez").status_code == httpx.get(service.url + "/readyz").status_code == 200


def test_a_key_is_taken_until_its_rate_is_used_up_and_others_are_not_held_back(guarded: tuple[Service, Path]) -> None:
    service, file = guarded
    answers = [httpx.post(service.url + "/v1/forecast", json=BODY, headers=bearer(KEY)) for _ in range(7)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
    assert answers[-1].json()["type"] == "/problems/rate-limited"
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 10
    assert httpx.get(service.url + "/livez", headers=bearer(KEY)).status_code == 200
    key, entry = make_key("second")  # keys are changed without a stop
    file.write_text(entry)
    deadline = time.monotonic() + 20
    while httpx.post(service.url + "/v1/forecast", json=BODY, headers=bearer(key)).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_no_key_is_in_the_log(guarded: tuple[Service, Path]) -> None:
    service, _ = guarded
    httpx.get(service.url + "/v1/models", headers=bearer("fk_somebody-elses"))
    assert KEY not in service.log.read_text()
    assert "somebody-elses" not in service.log.read_text()


def test_answers_tell_browsers_to_be_careful(guarded: tuple[Service, Path]) -> None:
    service, _ = guarded
    for path in ("/livez", "/v1/models", "/nowhere"):
        headers = httpx.get(service.url + path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]


def test_other_origins_are_named_or_not_let_in(guarded: tuple[Service, Path]) -> None:
    service, _ = guarded
    for origin, allowed in (("https://page.example", "https://page.example"), ("https://other.example", None)):
        asks = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        answer = httpx.options(service.url + "/v1/forecast", headers=asks)
        assert answer.headers.get("access-control-allow-origin") == allowed


def test_a_slow_caller_is_closed_and_others_are_answered(service: Service) -> None:
    host, port = service.url.removeprefix("http://").split(":")
    idle = [socket.create_connection((host, int(port))) for _ in range(20)]
    for connection in idle:
        connection.sendall(b"POST /v1/forecast HTTP/1.1\r\nHost: here\r\n")  # and no more
    assert httpx.post(service.url + "/v1/forecast", json=BODY).status_code == 200
    for connection in idle:
        connection.settimeout(30)
        answer = connection.recv(4096)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"/problems/too-slow" in answer
        connection.close()


def test_others_are_not_listened_to_without_keys() -> None:
    with pytest.raises(ParameterError, match="can be reached by others, and no API keys are set"):
        AccessSettings.from_environment({}, "0.0.0.0")
    for host in ("127.0.0.1", "localhost", "::1"):
        assert AccessSettings.from_environment({}, host).keys is None
    assert AccessSettings.from_environment({"FORECAST_ALLOW_ANONYMOUS": "yes"}, "0.0.0.0").keys is None
    assert AccessSettings.from_environment({"FORECAST_API_KEYS": ENTRY}, "0.0.0.0").keys is not None


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"FORECAST_API_KEYS": KEY}, "entry 1 of FORECAST_API_KEYS is not NAME:SHA256"),
        ({"FORECAST_API_KEYS": f"{ENTRY},{ENTRY}"}, "two keys named 'shop'"),
        ({"FORECAST_API_KEYS_FILE": "/no/such/file"}, "cannot be read: No such file"),
        ({"FORECAST_RATE_LIMIT": "many"}, "FORECAST_RATE_LIMIT=many is not a number of requests"),
        ({"FORECAST_RATE_BURST": "5"}, "FORECAST_RATE_LIMIT is not"),
        ({"FORECAST_CORS_ORIGINS": "https://page.example/path"}, "is no origin"),
        ({"FORECAST_ALLOW_ANONYMOUS": "perhaps"}, "is neither yes nor no"),
    ],
)
def test_settings_that_cannot_be_used_are_named_without_a_secret(environ: dict[str, str], expected: str) -> None:
    with pytest.raises(ParameterError) as error:
        AccessSettings.from_environment(environ, "127.0.0.1")
    assert expected in str(error.value)
    assert KEY not in str(error.value)


def test_a_key_is_made_by_a_command_and_taken() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "service.access.keys", "shop"], capture_output=True, text=True, check=True
    )
    key, entry = (line.rpartition(": ")[2] for line in done.stdout.splitlines())
    assert Keys(entry).name_of(key) == "shop"
    assert Keys(entry).name_of(key + "x") is None
    assert key not in entry


@given(st.text())
def test_any_other_text_is_a_named_mistake(text: str) -> None:
    words = " ".join(line.partition("#")[0] for line in text.splitlines()).replace(",", " ").split()
    if words:
        with pytest.raises(ParameterError, match="entry 1 of KEYS is not NAME:SHA256"):
            parse_keys(text, "KEYS")
    else:
        assert parse_keys(text, "KEYS") == {}


@given(
    st.floats(0.1, 100), st.integers(1, 20), st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 5)), max_size=60)
)
def test_nobody_gets_more_than_the_rate(per_second: float, burst: int, asked: list[tuple[str, float]]) -> None:
    now = 0.0
    limit = RateLimit(per_second, burst, lambda: now)
    taken = {"a": 0, "b": 0}
    for caller, pause in asked:
        now += pause
        wait = limit.take(caller)
        taken[caller] += wait == 0
        assert taken[caller] <= burst + now * per_second + 1e-6
        assert wait <= 1 / per_second + 1e-6
