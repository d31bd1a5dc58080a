"""What goes in and out of /v1/inspect, as the OpenAPI description shows it."""

from pydantic import BaseModel, Field

from service.schema import ModelChoice, ModelVersion, SeriesInput, SeriesRequest

Number = float | None


class InspectParameters(ModelChoice):
    """What to look at. Everything may be left out."""

    lead_time: int | None = Field(
        None, ge=1, description="The step ahead that is explained, from 1; the mean over all when left out."
    )


class InspectRequest(SeriesRequest):
    """One series, whose forecast is explained."""

    inputs: list[SeriesInput] = Field(min_length=1, max_length=1, fail_fast=True)
    parameters: InspectParameters = InspectParameters()


class FindingCard(BaseModel):
    """One thing that is wrong."""

    code: str = Field(description="Short and stable, such as `saturated-gates`.")
    severity: str = Field(description="serious, warning or note.")
    layer: str = Field(description="Where: a layer's name, or training, context or forecast.")
    evidence: str = Field(description="What was measured, in one sentence.")
    advice: str = Field(description="What to try.")
    value: Number = Field(description="The number.")
    threshold: Number = Field(description="From where on it is a fault.")
    member: str = Field(description="The network of an ensemble; empty for a single one or the whole.")


class Gate(BaseModel):
    """One gate over the N steps of a recurrence."""

    mean: list[float] = Field(description="How open it is at each step, 0 to 1, the mean over units.")
    shut: float = Field(description="Share of units and steps in which it is below 0.1.")
    open: float = Field(description="Share of units and steps in which it is above 0.9.")


class StateTrajectory(BaseModel):
    """One layer's states on the way to the forecast: N steps, the oldest first, of `patch_length` values each."""

    layer: int
    patch_length: int
    units: list[int] = Field(description="Which units are shown, evenly taken where there are many.")
    hidden: list[list[float]] = Field(description="N rows, a number for each unit.")
    gates: dict[str, Gate] = Field(description="Of an LSTM or GRU.")


class ConnectivityMap(BaseModel):
    """How much the median so far ahead changes with the value so far back: a row for each lead time."""

    lead_times: list[int]
    lags: list[int] = Field(description="Steps before the forecast, the latest value has lag 1; the oldest first.")
    total: list[list[Number]] = Field(
        description="Through everything, in units of the data on both sides; null where the history never changes: "
        "its scale has no slope."
    )
    encoder: list[list[float]] = Field(description="Through the encoder alone, in units of the window's scale.")
    memory: int = Field(description="The latest steps that hold nine tenths of the encoder's.")


class AttributionCard(BaseModel):
    """What the forecast rests on, in units of the data."""

    history: list[float] = Field(description="What each value read adds, the oldest first (integrated gradients).")
    masking: list[float] = Field(description="What the forecast loses when a patch of the history is hidden.")
    patch_length: int
    forecast: float = Field(description="What is explained: the median at `lead_time`, or its mean over all steps.")
    baseline: float = Field(description="The forecast of the same history with every value at its mean.")
    completeness: float = Field(description="What is left unexplained, as a share.")
    agreement: Number = Field(description="Rank correlation of both views, 1 where they agree.")


class SimilarWindow(BaseModel):
    """A past window that left the network in nearly the same state."""

    steps_before: int = Field(description="How many steps before the series' end it ends.")
    distance: float = Field(description="0 is the same state, about 1.4 that of two windows at random.")
    followed: list[Number] = Field(description="What followed it; null where nothing was sent.")
    analogue: list[Number] = Field(description="The same at the level and size of the series' end.")


class MemberInspection(BaseModel):
    """One network's forecast, explained."""

    name: str = Field(description='Its kind, in an ensemble after its number: "2 gru".')
    median: list[float] = Field(description="Its own median forecast, before an ensemble combines and calibrates.")
    states: list[StateTrajectory] = Field(description="Of a recurrent network, a layer each; else empty.")
    connectivity: ConnectivityMap
    attribution: AttributionCard
    covariates: dict[str, list[float]] = Field(description="What each did to each step ahead.")
    similar: list[SimilarWindow]


class InspectResponse(BaseModel):
    """What was seen."""

    model: ModelVersion
    item_id: str
    findings: list[FindingCard] | None = Field(
        description="What is wrong with the model on this series, the worst first; null where the series is too short "
        "to hold something out and judge by."
    )
    members: list[MemberInspection] = Field(description="The networks, one by one.")
