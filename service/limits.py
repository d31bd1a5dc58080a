"""What one request may ask for. Reported by `GET /v1/models/{name}`."""

from pydantic import BaseModel, ConfigDict, Field


class Limits(BaseModel):
    """The largest request that is answered."""

    model_config = ConfigDict(frozen=True)

    body_bytes: int = Field(16 * 2**20, description="Bytes of a request's body.")
    series: int = Field(1_000, description="Series in a request; of a backtest, their windows.")
    points_per_series: int = Field(100_000, description="Values in one series.")
    points: int = Field(500_000, description="Values in all series of a request together.")
    steps: int = Field(
        5_000_000, description="Steps from the first to the last value, gaps included, of all series together."
    )
    quantile_levels: int = Field(50, description="Quantile levels in a request.")
    forecast_values: int = Field(
        1_000_000, description="Numbers in an answer: series x steps x (quantile levels + 1 for the mean)."
    )
    item_id_length: int = Field(200, description="Characters of an item id.")
    bulk_bytes: int = Field(4 * 2**30, description="Bytes of the body of a call to /v1/forecast:bulk.")
    bulk_series: int = Field(1_000_000, description="Series in such a call.")
    bulk_batch_bytes: int = Field(
        16 * 2**20, description="Bytes of one line, or of one Arrow record batch, in such a call."
    )


LIMITS = Limits()


def body_bytes(path: str) -> int:
    """How large a body a path takes."""
    return LIMITS.bulk_bytes if path.endswith(":bulk") else LIMITS.body_bytes
