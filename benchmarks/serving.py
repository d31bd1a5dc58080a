"""Measure the service against what one would otherwise run, and against the least that a service must do.

    python -m benchmarks.serving --peer-python .venv-bench/bin/python

One LSTM of the default size, registered, behind each server: one series of 168 hours, 48 forecast, at 9 levels; one
worker with one thread for each. They take turns; whoever is not asked is stopped. Needs wrk, and /proc, so
Linux only.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import steady
from benchmarks.bulk_call import measure as measure_bulk
from benchmarks.load import Load, keep_rate, saturate
from benchmarks.pairs import Summary, compare, machine
from benchmarks.servers import NAME, ROOT, Server, registered_model, running, servers
from pipelines.tracking import connect

RESULTS = Path(__file__).with_name("results")
CONNECTIONS = (32, 1)


class Effort(NamedTuple):
    """How much is measured.

    Attributes:
        pairs: Turns.
        seconds: Of load in each turn.
        requests: After which memory must not have grown.
        leaking: Requests of the control.
        reloads: After which memory must not have grown.
        series: In one bulk call.
    """

    pairs: int
    seconds: float
    requests: int
    leaking: int
    reloads: int
    series: int


FULL = Effort(5, 10, 1_000_000, 200_000, 100, 100_000)
QUICK = Effort(1, 1, 2_000, 2_000, 5, 2_000)


def throughput(all_servers: Mapping[str, Server], effort: Effort) -> Summary:
    """Rates and latencies of all.

    Returns:
        By the number of connections and the server's name: `ours` and `theirs` as `compare` has them, of answers a
        second (`rate`) and of the median milliseconds (`p50`); and each server's medians.
    """
    found: dict[tuple[int, str], list[Load]] = {(n, name): [] for n in CONNECTIONS for name in all_servers}
    with ExitStack() as stack:
        up = {name: stack.enter_context(running(server)) for name, server in all_servers.items()}
        for name, server in all_servers.items():
            for connections in CONNECTIONS:
                saturate(up[name].url, server.body, connections, 2)  # warm
            up[name].pause()
        for turn in range(effort.pairs):
            for connections in CONNECTIONS:
                for name in list(all_servers)[:: 1 if turn % 2 else -1]:
                    up[name].go_on()
                    load = saturate(up[name].url, all_servers[name].body, connections, effort.seconds)
                    up[name].pause()
                    found[connections, name].append(load)
    result: Summary = {}
    for (connections, name), loads in found.items():
        ours = found[connections, "service"]
        result.setdefault(str(connections), {})[name] = {
            "server": all_servers[name].name,
            "rate": statistics.median(load.rate for load in loads),
            "p50": statistics.median(load.p50 for load in loads),
            "p99": statistics.median(load.p99 for load in loads),
            "failed": sum(load.failed for load in loads),
            "rates": compare([load.rate for load in ours], [load.rate for load in loads]),
            "latencies": compare([load.p50 for load in ours], [load.p50 for load in loads]),
        }
    return result


def startup(all_servers: Mapping[str, Server], effort: Effort) -> Summary:
    """Seconds until ready, ours against MLflow's, in turns; the model is downloaded anew each time."""
    ours, theirs = [], []
    for _ in range(effort.pairs):
        shutil.rmtree(all_servers["service"].environ["FORECAST_CACHE"], ignore_errors=True)
        with running(all_servers["service"]) as here:
            ours.append(here.startup)
        with running(all_servers["mlflow"]) as here:
            theirs.append(here.startup)
    return compare(ours, theirs)


def evenly(server: Server, effort: Effort) -> list[Summary]:
    """Latencies at half of the rate that the service takes at the most, each turn with its own."""
    turns = []
    with running(server) as here:
        saturate(here.url, server.body, 32, 2)
        for _ in range(effort.pairs):
            most = saturate(here.url, server.body, 32, effort.seconds).rate
            load = keep_rate(here.url, server.body, most / 2, effort.seconds)
            turns.append({"most": most, **load._asdict(), "ratio": load.p99 / load.p50})
    return turns


def memory(server: Server, effort: Effort) -> Summary:
    """Megabytes of a worker, and whether it grows: with requests, with reloads, and with a leak that must be seen."""
    client = connect()
    leaking = replace(server, command=(*server.command[:-1], "benchmarks.peers.leaking_app"))
    quick = replace(server, environ={**server.environ, "FORECAST_POLL_SECONDS": "0.1"})

    def reload(number: int) -> None:
        client.set_registered_model_alias(NAME, "champion", str(2 - number % 2))

    with running(server) as here:
        fresh = steady.resident(here.pid) / 1e6
        requests = steady.over_requests(server, here, effort.requests)
    with running(leaking) as here:
        control = steady.over_requests(leaking, here, effort.leaking)
    with running(quick) as here:
        reloads = steady.over_reloads(quick, here, effort.reloads, reload)
    client.set_registered_model_alias(NAME, "champion", "1")
    return {"fresh": fresh, "requests": requests, "control": control, "reloads": reloads}


def forward(all_servers: Mapping[str, Server]) -> Any:
    """What `benchmarks.forward` measures, in the peers' environment.

    Raises:
        RuntimeError: It fails, or there is no such environment.
    """
    if "litserve" not in all_servers:
        raise RuntimeError("the forward pass is measured in the peers' environment: --peer-python")
    peer = all_servers["litserve"]
    command = [peer.command[0], "-m", "benchmarks.forward", peer.environ["BENCHMARK_MODEL"]]
    environ = {**os.environ, **peer.environ}
    done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the forward pass cannot be measured:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", type=Path, help="interpreter that has LitServe and BentoML; without, not they")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to write a JSON file to")
    parser.add_argument("--only", nargs="+", choices=[*PARTS], default=[*PARTS], help="by default all")
    parser.add_argument("--pairs", type=int, help="turns of each")
    parser.add_argument("--seconds", type=float, help="of load in each turn")
    parser.add_argument("--requests", type=int, help="after which memory must not have grown")
    parser.add_argument("--quick", action="store_true", help="see that everything runs")
    arguments = parser.parse_args()
    given = {name: getattr(arguments, name) for name in ("pairs", "seconds", "requests") if getattr(arguments, name)}
    effort = (QUICK if arguments.quick else FULL)._replace(**given)
    effort = effort._replace(leaking=min(effort.leaking, effort.requests))
    path = arguments.results / "serving.json"
    found: Summary = json.loads(path.read_text())["result"] if path.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        environ = registered_model(Path(folder))
        os.environ.update(environ)
        all_servers = servers(environ, arguments.peer_python)
        for name in arguments.only:
            found[name] = PARTS[name](all_servers, effort)
            arguments.results.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"machine": machine(), "result": found}, indent=1) + "\n")
            print(json.dumps({name: found[name]}), flush=True)


PARTS: dict[str, Callable[[Mapping[str, Server], Effort], Any]] = {
    "throughput": throughput,
    "startup": startup,
    "evenly": lambda all_servers, effort: evenly(all_servers["service"], effort),
    "memory": lambda all_servers, effort: memory(all_servers["service"], effort),
    "bulk": lambda all_servers, effort: measure_bulk(all_servers["service"], effort.series, effort.pairs),
    "forward": lambda all_servers, _: forward(all_servers),
}


if __name__ == "__main__":
    main()
