"""What Prometheus is told: requests, failures, passes, the queue, models.

Several workers write to files of one folder (`PROMETHEUS_MULTIPROC_DIR`, set by the process that watches over
them), so that whichever is asked tells of all; a single one keeps its figures to itself.
"""

import os
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second line for every counter


class Metrics:
    """The figures of a process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()

        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"forecast_{name}", what, labels, registry=self._registry)

        def gauge(name: str, what: str, *labels: str, mode: Literal["livesum", "livemax"] = "livesum") -> Gauge:
            return Gauge(f"forecast_{name}", what, labels, registry=self._registry, multiprocess_mode=mode)

        def histogram(name: str, what: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"forecast_{name}", what, labels, registry=self._registry, buckets=buckets)

        self.requests = counter("requests", "Requests answered.", "route", "method", "status")
        self.failures = counter("failures", "Requests not answered as asked, by kind of problem.", "reason")
        self.request_seconds = histogram("request_seconds", "From a request's head to its answer.", SECONDS, "route")
        self.series = counter("series", "Series forecast.")
        self.passes = counter("passes", "Forward passes.")
        self.pass_requests = histogram("pass_requests", "Requests that share a forward pass.", SIZES)
        self.pass_series = histogram("pass_series", "Series in a forward pass.", SIZES)
        self.compute_seconds = histogram("compute_seconds", "Time of a forward pass.", SECONDS)
        self.queue_seconds = histogram("queue_seconds", "Time a request waits for its forward pass.", SECONDS)
        self.queue_series = gauge("queue_series", "Series that wait.")
        self.loop_lag = gauge("event_loop_lag_seconds", "How late the event loop wakes up.", mode="livemax")
        self.memory = gauge("resident_memory_bytes", "Memory of the workers together.")
        self.model_info = gauge("model_info", "1 for what answers.", "model", "version", "run_id", mode="livemax")
        self.reloads = counter("reloads", "Looks for newer versions that were more than a look, by result.", "result")

    def passed(self, requests: int, series: int, seconds: float) -> None:
        """Count a forward pass."""
        self.series.inc(series)
        self.passes.inc()
        self.pass_requests.observe(requests)
        self.pass_series.observe(series)
        self.compute_seconds.observe(seconds)

    def exposition(self) -> bytes:
        """The text that Prometheus reads."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        everyone = CollectorRegistry()
        MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
        return generate_latest(everyone)
