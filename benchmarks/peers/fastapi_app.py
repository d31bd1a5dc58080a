"""A plain FastAPI app, as its tutorial has it: `uvicorn benchmarks.peers.fastapi_app:app`."""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.peers.frames import forecast, load

app = FastAPI()
model = load()


class Series(BaseModel):
    """One series."""

    start: str
    target: list[float | None]


@app.get("/ready")
def ready() -> str:
    """The model is loaded before the first request."""
    return "ready"


@app.post("/forecast")
def answer(series: Series) -> dict[str, Any]:
    """Forecast it."""
    return forecast(model, [series.model_dump()])[0]
