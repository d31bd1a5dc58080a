"""BentoML with adaptive batching: `bentoml serve benchmarks.peers.bentoml_app:Forecasts`."""

from typing import Any

import bentoml

from benchmarks.peers.frames import forecast, load


@bentoml.service(workers=1, traffic={"timeout": 60})
class Forecasts:
    """One model, one worker."""

    def __init__(self) -> None:
        self.model = load()

    @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=1000, route="/forecast")
    def forecast(self, series: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Forecast a batch."""
        return forecast(self.model, series)
