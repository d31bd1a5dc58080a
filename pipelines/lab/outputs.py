"""A softmax over bins, trained with cross-entropy, next to a mean trained with squared error."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from forecast.config import ForecasterConfig
from forecast.inspection.looking import look_at
from forecast.inspection.results import Floats, Result
from forecast.inspection.sample import all_windows
from forecast.networks import Network
from forecast.outputs import BinsHead
from forecast.table import SeriesTable
from forecast.training import train
from forecast.windows import Batch, Origins
from pipelines.lab.experiment import Experiment, Lesson, Verdict, judged
from pipelines.lab.networks import HORIZON, settings
from pipelines.pictures import Picture
from pipelines.pictures.style import ACTUAL, BASELINE, MODEL, line, styled

UNSEEN = 28  # days at the series' ends that both are judged on
INTERVAL = (0.1, 0.9)
HOLDS = 0.10  # the 80 % interval may hold so much more or less than it says

LESSON = Lesson(
    claim=(
        "Squared error teaches the mean and nothing else; cross-entropy over bins teaches the whole distribution, its "
        "median and how sure it is."
    ),
    explanation=(
        "The same network is trained twice. One gives one number for each hour, and squared error makes it the mean of "
        "what may come: it says nothing of how sure it is. The other gives 100 numbers, which a softmax turns into the "
        "probability of each of 100 ranges of value (bins), and cross-entropy asks that the bin that came had been "
        "likely. It is a classifier, trained like any other, and answers every question about what may come: its "
        "median errs least in absolute terms, the interval between its quantiles says how sure it is, and it may have "
        "two humps. Each is best at what it was asked for: the mean in squared error, the median in absolute error."
    ),
    formulas=(
        "softmax: p_k = exp z_k / ∑_j exp z_j",
        "cross-entropy: L = -ln p_k for the bin k that y fell into",
        "squared error: L = (y - m)^2, least at m = E[y]",
    ),
    source=(
        "Bishop 1995, Neural Networks for Pattern Recognition, chapter 6; van den Oord et al. 2016 (arXiv 1601.06759) "
        "and Chronos (Ansari et al. 2024, arXiv 2403.07815) for values as bins."
    ),
)


@dataclass(frozen=True)
class Outputs(Result):
    """Forecasts of B windows, H hours each, in pedestrians an hour; NaN in `actual` where nothing was counted.

    Attributes:
        actual: `(B, H)` what came.
        mean: `(B, H)` of the network trained with squared error.
        expected: `(B, H)` the mean of the bins' probabilities.
        quantiles: `(B, H, 3)` the bins' 10, 50 and 90 %.
        hour: `(B, H)` hour of the day.
        edges: `(H, K + 1)` the bins of one window, which is shown.
        probability: `(H, K)` what they were given.
        example: Which window that is.
        item_id: Its place.
    """

    actual: Floats
    mean: Floats
    expected: Floats
    quantiles: Floats
    hour: Floats
    edges: Floats
    probability: Floats
    example: int
    item_id: str

    @property
    def coverage(self) -> float:
        """Share of what came inside the 80 % interval."""
        inside = (self.actual >= self.quantiles[..., 0]) & (self.actual <= self.quantiles[..., 2])
        return float(inside[~np.isnan(self.actual)].mean())

    @property
    def knows(self) -> float:
        """Rank correlation of the interval's width with the absolute error of the other network's mean."""
        width = pd.Series((self.quantiles[..., 2] - self.quantiles[..., 0]).ravel())
        return float(width.corr(pd.Series(np.abs(self.actual - self.mean).ravel()), method="spearman"))

    def rmse(self, forecast: Floats) -> float:
        return float(np.sqrt(np.nanmean((self.actual - forecast) ** 2)))

    def mae(self, forecast: Floats) -> float:
        return float(np.nanmean(np.abs(self.actual - forecast)))

    def summary(self) -> dict[str, Any]:
        median = self.quantiles[..., 1]
        return {
            "windows": len(self.actual),
            "rmse": {"mean": self.rmse(self.mean), "bins' mean": self.rmse(self.expected)},
            "mae": {"mean": self.mae(self.mean), "bins' median": self.mae(median)},
            "coverage_of_80_percent": self.coverage,
            "width_and_error_rank_correlation": self.knows,
        }

    def table(self) -> pd.DataFrame:
        """`window, lead_time, hour, actual, mean, bins_mean, low, median, high`."""
        windows, steps = self.actual.shape
        low, median, high = (self.quantiles[..., place].ravel() for place in range(3))
        return pd.DataFrame(
            {
                "window": np.repeat(np.arange(windows), steps),
                "lead_time": np.tile(np.arange(1, steps + 1), windows),
                "hour": self.hour.ravel(),
                "actual": self.actual.ravel(),
                "mean": self.mean.ravel(),
                "bins_mean": self.expected.ravel(),
                "low": low,
                "median": median,
                "high": high,
            }
        )

    def by_hour(self) -> pd.DataFrame:
        """`width` of the 80 % interval and root mean square `error` of the mean, by hour of the day."""
        rows = self.table()
        square = (rows["actual"] - rows["mean"]) ** 2
        means = pd.DataFrame({"width": rows["high"] - rows["low"], "error": square}).groupby(rows["hour"]).mean()
        return means.assign(error=means["error"] ** 0.5)


def run(table: SeriesTable) -> Experiment:
    """The experiment as it is shown."""
    outputs = measure(table)
    return Experiment(LESSON, judge(outputs), outputs.summary(), {"forecasts": outputs.table()}, pictures(outputs))


def measure(
    table: SeriesTable, hidden_size: int = 64, epochs: int = 12, batches: int = 40, windows: int = 512
) -> Outputs:
    """Train both networks on all but the last weeks, and let them forecast those.

    Args:
        table: The series.
        hidden_size: Units of the encoder.
        epochs: Of each training.
        batches: Of each epoch.
        windows: To forecast, evenly taken from all hours of the last weeks.
    """
    seen = table.drop_last(UNSEEN * HORIZON)
    pace = {"max_epochs": epochs, "batches_per_epoch": batches, "batch_size": 128}
    # Without the logarithm that counts are usually compressed by: the mean of logarithms is not that of counts.
    shape = {"kind": "feedforward", "num_layers": 2, "hidden_size": hidden_size, "transform": "none"}
    learnt = {}
    for output, loss in (("mean", "mse"), ("bins", "cross-entropy")):
        config = settings(seen, {**shape, "output": output}, {**pace, "loss": loss}, calendar=True)
        learnt[output], _ = train(config, seen)
    series, origin, batch = _later(config, table, windows)
    actual = torch.where(batch.target_observed, batch.target, torch.nan)
    expected, quantiles, edges, probability = _from_bins(learnt["bins"], batch)
    times = table.select(series.numpy())
    stamps = times.local(times.times(origin.numpy()[:, None] + np.arange(HORIZON)))
    example = _most_seen(batch, stamps)
    return Outputs(
        actual=actual.double().numpy(),
        mean=_from_mean(learnt["mean"], batch).numpy(),
        expected=expected.numpy(),
        quantiles=quantiles.numpy(),
        hour=pd.DatetimeIndex(stamps.ravel()).hour.to_numpy().reshape(stamps.shape).astype(float),
        edges=edges[example].numpy(),
        probability=probability[example].numpy(),
        example=example,
        item_id=str(table.item_ids[int(series[example])]),
    )


def judge(outputs: Outputs) -> Verdict:
    """Whether each is best at what it was asked for, and the bins' interval holds its share and follows the error."""
    rmse, mae = outputs.rmse(outputs.expected), outputs.mae(outputs.quantiles[..., 1])
    other_rmse, other_mae = outputs.rmse(outputs.mean), outputs.mae(outputs.mean)
    coverage, knows = outputs.coverage, outputs.knows
    nominal = INTERVAL[1] - INTERVAL[0]
    failures = []
    if other_rmse >= rmse:
        failures.append("the mean does not err less in squared error")
    if mae >= other_mae:
        failures.append("the bins' median does not err less in absolute error")
    if abs(coverage - nominal) > HOLDS:
        failures.append("the bins' 80 % interval does not hold 80 %")
    if not knows > 0:
        failures.append("the interval is not wider where errors are larger")
    found = (
        f"on weeks neither saw, the mean has a root mean square error of {other_rmse:.0f} pedestrians an hour and the "
        f"bins' mean {rmse:.0f}; the bins' median a mean absolute error of {mae:.0f} and the mean {other_mae:.0f}; and "
        f"the bins' 80 % interval holds {100 * coverage:.0f} % and is wider where errors are "
        f"larger (rank correlation {knows:.2f})"
    )
    return judged(failures, found)


def pictures(outputs: Outputs) -> tuple[Picture, ...]:
    """One day's probabilities with the other network's mean, and the interval's width beside the error by hour."""
    from plotly import graph_objects as go

    counts, density = _on_a_grid(outputs)
    steps = outputs.hour[outputs.example, 0] + np.arange(len(density))
    bar = {"title": {"text": "probability, of the hour's likeliest", "side": "right"}, "thickness": 14}
    heat = go.Heatmap(x=steps, y=counts, z=density.T, colorscale="Blues", zmin=0, zmax=1, colorbar=bar)
    day = go.Figure(heat)
    day.add_trace(line("mean, by squared error", BASELINE, steps, outputs.mean[outputs.example]))
    day.add_trace(line("what came", ACTUAL, steps, outputs.actual[outputs.example], dash="dot"))
    styled(day, "hours after midnight", "pedestrians an hour", height=460)
    day.update_layout(hovermode="closest").update_yaxes(range=[0, counts[-1]]).update_xaxes(dtick=3)
    width = outputs.quantiles[outputs.example, :, 2] - outputs.quantiles[outputs.example, :, 0]
    first = Picture(
        f"The mean is one line; the bins say that one hour is sure to {width.min() / 2:.0f} pedestrians either way, "
        f"another to {width.max() / 2:.0f}",
        f"{outputs.item_id}, a day that neither network saw. The darker, the likelier: the softmax's probability of "
        "each range of values, as a share of the likeliest at that hour. The widths in the title are half an 80 % "
        "interval.",
        day,
    )
    by_hour = outputs.by_hour()
    hours = go.Figure()
    hours.add_trace(line("width of the bins' 80 % interval", MODEL, by_hour.index, by_hour["width"]))
    hours.add_trace(line("error of the mean (root mean square)", BASELINE, by_hour.index, by_hour["error"]))
    styled(hours, "hour of the day", "pedestrians an hour").update_xaxes(dtick=3).update_yaxes(rangemode="tozero")
    together = float(by_hour["width"].corr(by_hour["error"], method="spearman"))
    said = "where the other network errs more" if together > 0.5 else "at other hours than the other network errs"
    second = Picture(
        f"The bins are less sure {said}: over the day, the rank correlation is {together:.2f}",
        f"Means over {len(outputs.actual)} forecasts of a day at all four places. Both networks read the same windows; "
        "the one that gives a mean was never asked how sure it is.",
        hours,
    )
    return first, second


def _later(config: ForecasterConfig, table: SeriesTable, count: int) -> tuple[Tensor, Tensor, Batch]:
    """Windows whose hours ahead all lie in the last weeks: series, origin, and the windows."""
    windows = all_windows(config, table)
    last = windows.lengths - HORIZON
    origins = Origins(windows.lengths - UNSEEN * HORIZON, last)
    number = torch.linspace(0, len(origins) - 1, min(count, len(origins)), dtype=torch.float64).round().long()
    series, origin = origins.window(number)
    return series, origin, windows.gather(series, origin)


def _from_mean(network: Network, batch: Batch) -> Tensor:
    """`(B, H)` what a network with one output for each hour says."""
    look = look_at(network, batch, precise=True, unroll=False)
    with torch.no_grad():
        output, frame = look.network.scaled(*look.batch[:3], look.batch.static)
        return frame.base + frame.size * output


def _from_bins(network: Network, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The mean `(B, H)`, quantiles `(B, H, 3)`, the bins' edges `(B, H, K + 1)` and their probabilities `(B, H, K)`."""
    look = look_at(network, batch, precise=True, unroll=False)
    with torch.no_grad():
        output, frame = look.network.scaled(*look.batch[:3], look.batch.static)
        probability = output.softmax(-1)
        edges = frame.base.unsqueeze(-1) + frame.size.unsqueeze(-1) * cast(BinsHead, look.network.head).edges
        mean = (probability * (edges[..., 1:] + edges[..., :-1]) / 2).sum(-1)
        wanted = [int((look.network.head.levels - level).abs().argmin()) for level in (INTERVAL[0], 0.5, INTERVAL[1])]
        return mean, look.network.quantiles(output, frame)[..., wanted], edges, probability


def _most_seen(batch: Batch, stamps: Any) -> int:
    """The window to show: one that begins at midnight, with nothing missing, and varies most."""
    hours = pd.DatetimeIndex(stamps[:, 0]).hour.to_numpy()
    whole = (batch.target_observed.all(1) & batch.observed.all(1)).numpy()
    variation = batch.target.std(1).numpy()
    return int(np.where(whole & (hours == hours.min()), variation, -1).argmax())


def _on_a_grid(outputs: Outputs, points: int = 160) -> tuple[Floats, Floats]:
    """Counts `(P,)`, and at each hour how likely each is, `(H, P)`, as a share of the likeliest."""
    likely = outputs.probability / np.diff(outputs.edges, axis=1)
    highest = 1.25 * np.nanmax([outputs.quantiles[outputs.example, :, 2].max(), outputs.actual[outputs.example].max()])
    counts = np.linspace(0, highest, points)
    rows = [
        density[(np.searchsorted(edges, counts) - 1).clip(0, len(density) - 1)]
        for edges, density in zip(outputs.edges, likely, strict=True)
    ]
    found = np.stack(rows)
    return counts, found / found.max(1, keepdims=True)
