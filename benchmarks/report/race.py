"""The race against neuralforecast: a table and a picture of accuracy over seconds."""

from pathlib import Path

import matplotlib as mpl
import pandas as pd

from benchmarks.pairs import Summary
from benchmarks.report.markdown import table

PICTURE = Path(__file__).parents[2] / "docs/images/training_speed.png"


def race(result: Summary) -> str:
    """The picture; and for each peer its best MASE, when it was there, and when each of ours was as good."""
    curves = _curves(result)
    ours = [name for name in curves if name.startswith("ours")]
    rows = []
    for name in curves:
        if name in ours:
            continue
        goal = curves[name]["mase"].min()
        seconds = _seconds_to(curves[name], goal)
        reached = [_seconds_to(curves[mine], goal) for mine in ours]
        rows.append((name, f"{goal:.3f}", f"{seconds:.0f}", *(_against(mine, seconds) for mine in reached)))
    naive = f"\nSeasonal naive: MASE {result['seasonal_naive']:.3f}.\n"
    picture = f"![MASE over seconds of training](images/{PICTURE.name})\n\n"
    return (
        picture + table(("peer", "its best MASE", "its seconds", *(f"{name}, seconds" for name in ours)), rows) + naive
    )


def draw(result: Summary, path: Path) -> None:
    """MASE over seconds: the median of each length, and every run."""
    mpl.use("agg")
    from matplotlib import pyplot as plt  # after its backend is set
    from matplotlib.ticker import LogLocator, NullLocator

    runs = pd.DataFrame(result["runs"])
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for name, curve in _curves(result).items():
        (line,) = axes.plot(curve["seconds"], curve["mase"], marker="o", label=name)
        same = runs[runs["method"] == name]
        axes.scatter(same["seconds"], same["mase"], s=8, alpha=0.4, color=line.get_color())
    axes.axhline(result["seasonal_naive"], color="grey", linestyle="--", label="seasonal naive")
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="seconds of training",
        ylabel="MASE, last 48 hours of M4 hourly's training part",
    )
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 8)))
    axes.yaxis.set_minor_locator(NullLocator())
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    axes.legend()
    axes.grid(alpha=0.3, which="both")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _curves(result: Summary) -> dict[str, pd.DataFrame]:
    """By method the medians over seeds, one row a length; runs are listed from short to long for each seed."""
    runs = pd.DataFrame(result["runs"])
    runs["length"] = runs.groupby(["method", "seed"]).cumcount()
    medians = runs.groupby(["method", "length"], sort=False)[["seconds", "mase"]].median()
    return {str(name): curve.reset_index() for name, curve in medians.groupby(level="method", sort=False)}


def _seconds_to(curve: pd.DataFrame, goal: float) -> float | None:
    """Seconds of the shortest training that is at least that good."""
    good = curve.loc[curve["mase"] <= goal, "seconds"]
    return float(good.min()) if len(good) else None


def _against(mine: float | None, theirs: float | None) -> str:
    if mine is None or theirs is None:
        return "not reached"
    return f"{mine:.0f} ({theirs / mine:.1f} times faster)" if mine <= theirs else f"{mine:.0f} (slower)"
