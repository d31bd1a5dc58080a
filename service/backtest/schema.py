"""What goes in and out of /v1/backtest, as the OpenAPI description shows it."""

from pydantic import BaseModel, Field

from service.schema import ForecastRequest, ModelVersion, Parameters

Number = float | None


class BacktestParameters(Parameters):
    """What to hold out. Everything may be left out."""

    windows: int = Field(
        1, ge=1, description="Stretches of `prediction_length` steps to forecast, the last at the end."
    )
    step: int | None = Field(
        None, ge=1, description="Steps from one window to the next, by default `prediction_length`: no overlap."
    )


class BacktestRequest(ForecastRequest):
    """Series whose last steps are forecast from what came before; `future_covariates` are not looked at."""

    parameters: BacktestParameters = BacktestParameters()


class Scores(BaseModel):
    """Errors, smaller is better but for `coverage80`; null where nothing was observed, or there is no scale."""

    mase: Number = Field(description="Mean absolute error, in units of the seasonal naive forecast's on the history.")
    rmsse: Number = Field(description="Root mean square error, likewise.")
    smape: Number = Field(description="Symmetric mean absolute percentage error, 0 to 200.")
    wql: Number = Field(description="Weighted quantile loss over 0.1, 0.2, ... 0.9: a share of the values' own size.")
    coverage80: Number = Field(description="Share of values between the quantiles 0.1 and 0.9: 0.8 is right.")


class ScoresOfEach(BaseModel):
    """The errors of the model, and of the naive forecasts that it must beat."""

    model: Scores
    naive: Scores = Field(description="Of repeating the last value.")
    seasonal_naive: Scores = Field(description="Of repeating the last season.")


class NaiveForecasts(BaseModel):
    """The medians of the naive forecasts."""

    naive: list[float]
    seasonal_naive: list[float]


class BacktestWindow(BaseModel):
    """H steps that were held out: what was forecast, and what came."""

    history_length: int = Field(description="Steps of the series, gaps included, that the forecast knew.")
    timestamps: list[str] | None = Field(None, description="The time of each step; absent for series without times.")
    steps: list[int] | None = Field(None, description="1 to H, in place of `timestamps`.")
    actual: list[Number] = Field(description="What came; null where no value was sent.")
    mean: list[float]
    quantiles: dict[str, list[float]] = Field(description="The H values of each level asked for, under the level.")
    baselines: NaiveForecasts


class BacktestedSeries(BaseModel):
    """One series: its errors and its windows, in time's order."""

    item_id: str
    metrics: ScoresOfEach
    windows: list[BacktestWindow]
    warnings: list[str] = Field(description="What to know before trusting this, such as missing values.")


class BacktestResponse(BaseModel):
    """What the errors would have been, over all windows and for each series, in the order of `inputs`."""

    model: ModelVersion
    season: int = Field(description="Steps of the season, that of the model's frequency; 1 where it has none.")
    metrics: ScoresOfEach
    series: list[BacktestedSeries]
