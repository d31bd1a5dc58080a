"""LitServe with batching: `python benchmarks/peers/litserve_app.py PORT`."""

import sys
from typing import Any

import litserve

from benchmarks.peers.frames import forecast, load


class Forecasts(litserve.LitAPI):
    """One model, one worker."""

    def setup(self, device: str) -> None:
        """Load the model."""
        self.model = load()

    def decode_request(self, request: dict[str, Any]) -> dict[str, Any]:
        """Nothing to do."""
        return request

    def batch(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """A list is a batch."""
        return inputs

    def predict(self, x: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Forecast a batch."""
        return forecast(self.model, x)

    def unbatch(self, output: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """A list is a batch."""
        return output

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """Nothing to do."""
        return output


if __name__ == "__main__":
    # Without a wait for more, as ours; the other way round its single connection would only wait.
    api = Forecasts(max_batch_size=32, batch_timeout=0.0, api_path="/forecast")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
