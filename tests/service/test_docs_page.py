"""GET /docs: a page that is whole without any other host, and that may run nothing but its own files."""

import re
import shutil
import socket
import subprocess
from pathlib import Path

import httpx
import pytest

from service import docs_page
from service.access.guard import OPEN
from tests.service.conftest import TINY, Start

PARTS = ["/docs", *(f"/docs/{name}" for name in docs_page.FILES)]


def policy(answer: httpx.Response) -> dict[str, list[str]]:
    """The Content-Security-Policy, by directive."""
    rules = answer.headers["content-security-policy"].split(";")
    return {name: sources for name, *sources in (rule.split() for rule in rules)}


@pytest.mark.parametrize("path", PARTS)
def test_every_part_is_there_and_may_load_from_the_service_alone(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["x-content-type-options"] == "nosniff"
    kinds = {"docs": "text/html", "js": "text/javascript", "css": "text/css", "png": "image/png"}
    assert answer.headers["content-type"].startswith(kinds[path.rpartition(".")[2].rpartition("/")[2]])
    rules = policy(answer)
    assert rules["default-src"] == rules["frame-ancestors"] == rules["base-uri"] == ["'none'"]
    assert {source for sources in rules.values() for source in sources} == {"'none'", "'self'", "data:"}
    assert rules["script-src"] == ["'self'"]  # no inline script, no eval


def test_the_page_names_no_other_host_and_only_what_is_there(client: httpx.Client) -> None:
    page, script = client.get("/docs").text, client.get("/docs/docs.js").text
    assert "//" not in re.sub("//.*", "", script)
    assert "http" not in page + script
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|style=", page)
    named = re.findall(r'(?:href|src)="([^"]+)"', page)
    assert {f"/{name}" for name in named} == {*PARTS[1:], "/openapi.json"}
    assert client.get("/docs/other.js").status_code == client.get("/docs/..%2Fapp.py").status_code == 404


def test_a_service_with_keys_shows_the_page_and_no_more() -> None:
    assert {path for path in OPEN if path.startswith("/docs")} == set(PARTS)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
def test_a_browser_shows_every_route_without_a_complaint(start: Start, tmp_path: Path) -> None:
    running = start(FORECAST_MODEL=str(TINY))
    running.wait_until_ready()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{nobody.getsockname()[1]}"  # whatever is asked of other hosts gets no answer
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
        command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        command += [f"--proxy-server={proxy}", f"--user-data-dir={tmp_path}", "--enable-logging=stderr"]
        command += ["--window-size=1300,2000", f"--screenshot={tmp_path / 'page.png'}", "--virtual-time-budget=20000"]
        shown = subprocess.run(
            [*command, "--dump-dom", f"{running.url}/docs"], capture_output=True, text=True, timeout=120, check=True
        )
    assert not [line for line in shown.stderr.splitlines() if "CONSOLE" in line]
    for path in httpx.get(f"{running.url}/openapi.json").json()["paths"]:
        assert f'data-path="{path}"' in shown.stdout
    assert "Authorize" in shown.stdout
    asked = {line["path"] for line in running.logged() if line.get("path", "").startswith(("/docs", "/openapi"))}
    assert asked == {*PARTS, "/openapi.json"}
