"""Who may ask, and how often; callers that are too slow."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from forecast.errors import ParameterError
from service.access import AccessSettings
from service.access.keys import Keys, make_key
from service.access.rates import RateLimit
from tests.service.conftest import TINY, Service, Start

KEY, ENTRY = make_key("sales")
OTHER, OTHER_ENTRY = make_key("stock")


@pytest.fixture(scope="module")
def guarded(start: Start, tmp_path_factory: pytest.TempPathFactory) -> tuple[Service, Path]:
    """A service with a file of keys, a rate limit and one origin."""
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text(f"# who may ask\n{ENTRY}\n")
    running = start(
        FORECAST_MODEL=str(TINY),
        FORECAST_API_KEYS_FILE=str(file),
        FORECAST_RATE_LIMIT="0.001",
        FORECAST_RATE_BURST="3",
        FORECAST_CORS_ORIGINS="https://example.org",
    )
    running.wait_until_ready()
    return running, file


def test_without_a_key_nothing_is_answered(guarded: tuple[Service, Path]) -> None:
    url = guarded[0].url
    for headers in ({}, {"Authorization": "Bearer " + OTHER}, {"Authorization": "Basic " + KEY}):
        for method, path in (("GET", "/v1/models"), ("POST", "/v1/forecast"), ("GET", "/metrics"), ("GET", "/none")):
            answer = httpx.request(method, url + path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert answer.json()["type"] == "/problems/unauthorized"
    assert httpx.get(url + "/livez").status_code == httpx.get(url + "/readyz").status_code == 200


def test_a_key_has_so_many_requests(guarded: tuple[Service, Path]) -> None:
    service, _ = guarded
    with httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {KEY}"}) as client:
        assert [client.get("/v1/models").status_code for _ in range(4)] == [200, 200, 200, 429]
        refused = client.get("/v1/models")
        assert refused.json()["type"] == "/problems/rate-limited"
        assert int(refused.headers["Retry-After"]) > 1
        assert [client.get(path).status_code for path in ("/livez", "/readyz", "/metrics")] == [200, 200, 200]
    assert KEY not in service.log.read_text()


def test_keys_change_without_a_stop(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(ENTRY)
    keys = Keys(file=file)
    assert (keys.name_of(KEY), keys.name_of(OTHER)) == ("sales", None)
    for text, expected in ((f"{OTHER_ENTRY}\n", (None, "stock")), ("broken", (None, "stock"))):
        file.write_text(text)
        keys._looked -= 10
        assert (keys.name_of(KEY), keys.name_of(OTHER)) == expected


def test_the_command_makes_a_key() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "service.access.keys", "sales"], capture_output=True, text=True, check=True
    )
    key, entry = (line.rpartition(": ")[2] for line in done.stdout.splitlines())
    assert entry == f"sales:{hashlib.sha256(key.encode()).hexdigest()}"
    assert Keys(entry).name_of(key) == "sales"


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "can be reached by others, and no API keys are set"),
        ({"FORECAST_API_KEYS": KEY}, "entry 1 of FORECAST_API_KEYS is not NAME:SHA256"),
        ({"FORECAST_API_KEYS": f"{ENTRY},{ENTRY}"}, "two keys named 'sales'"),
        ({"FORECAST_API_KEYS_FILE": "/none"}, "cannot be read"),
        ({"FORECAST_API_KEYS": ENTRY, "FORECAST_RATE_LIMIT": "many"}, "not a number of requests"),
        ({"FORECAST_API_KEYS": ENTRY, "FORECAST_RATE_BURST": "3"}, "FORECAST_RATE_LIMIT is not"),
        ({"FORECAST_API_KEYS": ENTRY, "FORECAST_CORS_ORIGINS": "*"}, "is no origin"),
        ({"FORECAST_ALLOW_ANONYMOUS": "true"}, "neither yes nor no"),
    ],
)
def test_wrong_settings(environ: dict[str, str], message: str) -> None:
    with pytest.raises(ParameterError, match=message) as raised:
        AccessSettings.from_environment(environ, "0.0.0.0")
    assert KEY not in str(raised.value)


@pytest.mark.parametrize(
    ("environ", "host"),
    [({}, "127.0.0.1"), ({}, "::1"), ({}, "localhost"), ({"FORECAST_ALLOW_ANONYMOUS": "yes"}, "0.0.0.0")],
)
def test_nobody_needs_a_key(environ: dict[str, str], host: str) -> None:
    assert AccessSettings.from_environment(environ, host).keys is None


def test_a_bucket_fills_again() -> None:
    now = 0.0
    limit = RateLimit(2, 3, lambda: now)
    assert [limit.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert limit.take("b") == 0
    now = 0.5
    assert [limit.take("a"), limit.take("a")] == [0, 0.5]
    now = 100
    assert [limit.take("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_browsers_are_told_to_be_careful(guarded: tuple[Service, Path]) -> None:
    url = guarded[0].url
    for path in ("/livez", "/v1/models"):
        headers = httpx.get(url + path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    known = httpx.options(url + "/v1/forecast", headers={"Origin": "https://example.org", **asked})
    assert known.headers["Access-Control-Allow-Origin"] == "https://example.org"
    other = httpx.options(url + "/v1/forecast", headers={"Origin": "https://example.com", **asked})
    assert "Access-Control-Allow-Origin" not in other.headers


SLOW = (
    f"""
TINY = {str(TINY)!r}
"""
    + """
import socket, sys, time, threading, uvicorn
from dataclasses import replace
from service.app import create_app
from forecast import Forecaster
from service.models import Models, ServedModel
from service.patience import PatientProtocol
PatientProtocol.patience = replace(PatientProtocol.patience, head=0.4, body=0.4, look=0.1)
listener = socket.create_server(("127.0.0.1", 0))
app = create_app(Models(ServedModel("tiny", Forecaster.load(TINY))))
server = uvicorn.Server(uvicorn.Config(app, http=PatientProtocol, log_config=None))
threading.Thread(target=server.run, args=([listener],), daemon=True).start()
time.sleep(0.5)
head = b'POST /v1/forecast HTTP/1.1\\r\\nHost: x\\r\\nContent-Type: application/json\\r\\n'
for beginning in (b"", b"GET /livez HT", head + b"Content-Length: 9\\r\\n\\r\\n{"):
    with socket.create_connection(listener.getsockname()) as slow:
        slow.sendall(beginning)
        slow.settimeout(5)
        print(slow.recv(99).split(b"\\r")[0].decode(), flush=True)
server.should_exit = True
"""
)


def test_slow_callers_are_told_so() -> None:
    done = subprocess.run([sys.executable, "-c", SLOW], capture_output=True, text=True, env=os.environ, timeout=60)
    assert done.stdout.splitlines() == ["HTTP/1.1 408 Request Timeout"] * 3, done.stderr
