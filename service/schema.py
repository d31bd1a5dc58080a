"""What goes in and out of the routes, as the OpenAPI description shows it."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema
from pydantic_core.core_schema import custom_error_schema

from forecast.predictor import DEFAULT_LEVELS
from service.limits import LIMITS, Limits
from service.registry import Origin

Time = Annotated[str, Field(pattern=r"^[0-9]{4}", max_length=64)]
"""ISO 8601. The pattern keeps out the words that pandas understands ("now")."""


class Strict(BaseModel):
    """A part of a request: no value is converted, no number is infinite, no field is ignored.

    Unknown fields are collected and refused by `reading.read_request`: pydantic's own "forbid" makes an
    error for each, which a hostile body turns into gigabytes.
    """

    model_config = ConfigDict(
        extra="allow", strict=True, allow_inf_nan=False, json_schema_extra={"additionalProperties": False}
    )


class _OneError:
    """A union's errors as one, at the value's own place, in place of one for each kind it could have been."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return custom_error_schema(handler(source), "covariate_type", custom_error_message="is of another type")


Value = Annotated[float | str | bool | None, _OneError()]
"""A covariate's value; null where it is missing."""
Values = Annotated[list[Value], Field(max_length=LIMITS.points_per_series, fail_fast=True)]


class SeriesInput(Strict):
    """One series. Its time is given by `start`, by `timestamps`, or not at all."""

    item_id: Annotated[str, Field(min_length=1, max_length=LIMITS.item_id_length)] | None = Field(
        None, description="The series' name; its position in `inputs` (from 0) when left out."
    )
    start: Time | None = Field(
        None, description="The time of the first value, ISO 8601; the others follow at the model's frequency."
    )
    timestamps: list[Time] | None = Field(
        None,
        max_length=LIMITS.points_per_series,
        fail_fast=True,
        description="The time of each value, ISO 8601 with or without UTC offset, in any order; gaps are missing.",
    )
    target: list[float | None] = Field(
        min_length=1,
        max_length=LIMITS.points_per_series,
        fail_fast=True,
        description="The values; null where one is missing.",
    )
    past_covariates: dict[str, Values] | None = Field(
        None,
        description="For a model that reads covariates: a value for each of the target's, also of those known in "
        "advance. `GET /v1/models/{name}` lists the names.",
    )
    future_covariates: dict[str, Values] | None = Field(
        None, description="Of the covariates known in advance, a value for each step to forecast."
    )
    static_covariates: dict[str, Value] | None = Field(
        None, description="Of the static covariates, the series' value: a number or a category."
    )


class ModelChoice(Strict):
    """Which model is asked. Everything may be left out."""

    model: Annotated[str, Field(max_length=200)] | None = Field(
        None, description="The model's name; may be left out where only one is loaded."
    )
    freq: Annotated[str, Field(max_length=32)] | None = Field(
        None,
        description="pandas' alias of the series' frequency (h, D, MS, ...); found from `timestamps` when left out.",
    )


class Parameters(ModelChoice):
    """What to forecast. Everything may be left out."""

    prediction_length: int | None = Field(
        None,
        description="Steps to forecast, by default as many as the model was trained for; beyond them it goes on from "
        "its own forecasts, with a warning, up to its longest horizon.",
    )
    quantile_levels: list[float] = Field(
        list(DEFAULT_LEVELS),
        max_length=LIMITS.quantile_levels,
        fail_fast=True,
        description="Quantiles to forecast, each between 0 and 1 and within the range the model was trained for.",
    )


class SeriesRequest(Strict):
    """Series to ask a model about."""

    inputs: list[SeriesInput] = Field(min_length=1, max_length=LIMITS.series, fail_fast=True)
    parameters: ModelChoice = ModelChoice()


class ForecastRequest(SeriesRequest):
    """Series to forecast, each from its end."""

    parameters: Parameters = Parameters()


class ModelVersion(BaseModel):
    """The model that answered."""

    model_config = ConfigDict(protected_namespaces=())

    name: str
    version: str | None = Field(description="The registered version; null for a model served from a folder.")
    run_id: str | None = Field(description="The MLflow run that made it; null for a model served from a folder.")


class Prediction(BaseModel):
    """The forecast of one series, H steps from its end."""

    item_id: str
    timestamps: list[str] | None = Field(
        None, description="The time of each step, with the UTC offset that was sent; absent for series without times."
    )
    steps: list[int] | None = Field(None, description="1 to H, in place of `timestamps`.")
    mean: list[float]
    quantiles: dict[str, list[float]] = Field(description="The H values of each level asked for, under the level.")
    warnings: list[str] = Field(description="What to know before trusting this forecast, such as missing values.")


class ForecastResponse(BaseModel):
    """The forecasts, in the order of `inputs`."""

    model: ModelVersion
    predictions: list[Prediction]


class QuantileRange(BaseModel):
    """Which quantiles a model can give."""

    lowest: float
    highest: float
    default: list[float]


class CovariateCard(BaseModel):
    """The covariates a model reads, by name."""

    known: list[str] = Field(description="Known in advance: to be sent as past and future covariates.")
    past: list[str] = Field(description="Known for the past only: to be sent as past covariates.")
    static: list[str] = Field(description="One value for a series: to be sent as static covariates.")
    categories: dict[str, list[str]] = Field(
        description="The categories of those that are text, any other counts as missing; the others are numbers."
    )


class RefusedVersion(BaseModel):
    """A newer version that is not served."""

    version: str
    reason: str
    at: datetime


class ModelCard(ModelVersion):
    """A model: what to send to it, and what it answers."""

    alias: str | None = Field(description="The alias the service was started with, where it was one.")
    network: str = Field(description="The encoder, feedforward, cnn, rnn, gru or lstm, or how many networks answer.")
    frequency: str = Field(description="The frequency of the series it was trained on, pandas' alias.")
    context_length: int = Field(description="Steps of history it reads; what is sent beyond them is not looked at.")
    prediction_length: int = Field(description="Steps it was trained to forecast: as many as it does by default.")
    longest_horizon: int = Field(description="Steps it forecasts at the most.")
    minimum_history: int = Field(description="Values a series must have at the least.")
    quantile_levels: QuantileRange
    covariates: CovariateCard
    limits: Limits
    origin: Origin
    source: Literal["folder", "registry", "cache"] = Field(
        description="Where it was loaded from; the cache of verified models is used while the registry is away."
    )
    loaded_at: datetime = Field(description="Since when it answers.")
    registry_away_since: datetime | None = Field(description="Since when the registry has not answered.")
    refused: RefusedVersion | None = Field(description="A newer version that is not served, and why.")


class ModelList(BaseModel):
    """The models that are loaded."""

    models: list[ModelCard]


class Status(BaseModel):
    """How the process is."""

    status: str
