"""Write the results into docs/benchmarks.md, and draw its picture.

    python -m benchmarks.report

In the page, what stands between `<!-- table: NAME -->` and `<!-- end -->` is made from benchmarks/results;
all other text is written by hand. A table whose result is not there stays as it is.
"""

import json
import re
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd

from benchmarks.pairs import Summary

ROOT = Path(__file__).parents[1]
RESULTS, PAGE, PICTURE = (
    ROOT / "benchmarks/results",
    ROOT / "docs/benchmarks.md",
    ROOT / "docs/images/training_speed.png",
)
BLOCK = re.compile(r"(<!-- table: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def main() -> None:
    PAGE.write_text(fill(PAGE.read_text(encoding="utf-8"), RESULTS), encoding="utf-8")
    if (RESULTS / "race.json").is_file():
        draw(_read(RESULTS / "race.json")["result"], PICTURE)


def fill(page: str, results: Path) -> str:
    """The page with its tables made anew.

    Raises:
        KeyError: The page names a table that nothing here makes.
    """

    def block(found: re.Match[str]) -> str:
        head, name, _, tail = found.groups()
        make, path = TABLES[name], results / f"{name}.json"
        if not path.is_file():
            return found[0]
        content = _read(path)
        return f"{head}{make(content['result'])}\n{_origin(content['machine'])}\n{tail}"

    return BLOCK.sub(block, page)


def loop(result: Summary) -> str:
    rows = [(kind, *_rates(row), _ratio(row, 2)) for kind, row in result.items()]
    return _table(("network", "fit, windows/s", "bare loop, windows/s", "fit / bare (lowest-highest)"), rows)


def rates(result: Summary) -> str:
    rows = [(kind, row["peer"], *_rates(row), _ratio(row, 1)) for kind, row in result.items()]
    return _table(("ours", "theirs", "ours, windows/s", "theirs, windows/s", "ours / theirs (lowest-highest)"), rows)


def series_count(result: list[Summary]) -> str:
    rows = [
        (
            f"{row['series']:,.0f}",
            f"{row['microseconds']:.0f}",
            f"{row['setup_seconds']:.1f}",
            f"{row['data_bytes'] / 1e6:,.1f}",
            f"{row['peak_bytes'] / 1e6:,.1f}",
            f"{row['peak_bytes'] / row['data_bytes']:.1f}",
        )
        for row in result
    ]
    return _table(("series", "µs per window", "s before the first step", "data, MB", "peak, MB", "peak / data"), rows)


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
        picture + _table(("peer", "its best MASE", "its seconds", *(f"{name}, seconds" for name in ours)), rows) + naive
    )


def accuracy(result: Summary) -> str:
    """One table a set: ours, the classical methods and what others published, the best MASE first."""
    header = ("method", "sMAPE %", "MASE", "OWA", "WQL", "coverage of 80 %", "minutes")
    parts = []
    for name, rows in result.items():
        every = {**rows, **{f"*{method}*": figures for method, figures in PUBLISHED[name].items()}}
        ordered = sorted(every.items(), key=lambda item: item[1]["mase"])
        parts.append(f"### {name}\n\n" + _table(header, [(method, *_figures(row)) for method, row in ordered]))
    return "\n".join(parts)


def covariates(result: Summary) -> str:
    """The errors of both, and by how much they differ."""
    rows = [
        (name, f"{sum(run['mae']) / len(run['mae']):.0f}", ", ".join(f"{error:.0f}" for error in run["mae"]))
        for name, run in (("with", result["with"]), ("without", result["without"]))
    ]
    summary = f"\nWith them the error is {result['lower_by']:.0%} lower.\n"
    return _table(("temperature and holidays", "MAE, MW", "of each seed"), rows) + summary


def bulk(result: Summary) -> str:
    """Series per second, then memory by the number of series."""
    rates = [
        (threads, *_rates(row), f"{row['batch_size']}", _ratio(row, 2)) for threads, row in result["throughput"].items()
    ]
    sizes = [
        (
            f"{row['series']:,}",
            f"{row['data_bytes'] / 1e6:,.0f}",
            f"{row['output_bytes'] / 1e6:,.0f}",
            f"{row['peak_bytes'] / 1e6:,.0f}",
        )
        for row in result["memory"]
    ]
    header = ("threads", "predict, series/s", "bare, series/s", "its batch", "predict / bare (lowest-highest)")
    return _table(header, rates) + "\n" + _table(("series", "data file, MB", "output file, MB", "peak, MB"), sizes)


def tracking(result: Summary) -> str:
    """Seconds of a training with and without tracking."""
    rows = [(name, f"{row['ours']:.2f}", f"{row['theirs']:.2f}", _ratio(row, 3)) for name, row in result.items()]
    return _table(("network, store", "tracked, s", "not tracked, s", "tracked / not (lowest-highest)"), rows)


def inspection(result: Summary) -> str:
    """What recorder, look and report add to a training."""
    rows = [
        (
            kind,
            f"{row['training']:.0f}",
            f"{row['recorder']:.2f}",
            f"{row['look']:.2f}",
            f"**{(row['recorder'] + row['look']) / row['training']:.1%}**",
        )
        for kind, row in result.items()
    ]
    return _table(("network", "training, s", "recorder, s", "look and report, s", "added"), rows)


def serving(result: Summary) -> str:
    """Every bar of the service with what was found, then the servers side by side, then the forward pass."""
    parts = []
    if "throughput" in result:
        for connections, rows in result["throughput"].items():
            label = "connection" if connections == "1" else "connections"
            header = (f"{connections} {label}", "answers/s", "p50, ms", "p99, ms", "ours / theirs, answers", "p50")
            lines = [
                (
                    row["server"],
                    f"{row['rate']:,.0f}",
                    f"{row['p50']:.1f}",
                    f"{row['p99']:.1f}",
                    "" if name == "service" else _ratio(row["rates"], 2),
                    "" if name == "service" else _ratio(row["latencies"], 2),
                )
                for name, row in rows.items()
            ]
            parts.append(_table(header, lines))
    if bars := _bars(result):
        parts.append(_table(("what", "found", "the aim"), bars))
    if "forward" in result:
        parts.append(_forward(result["forward"]))
    return "\n".join(parts)


def _bars(result: Summary) -> list[tuple[str, str, str]]:
    """What else was measured of the service, and what it should be."""
    bars = []
    if "startup" in result:
        row = result["startup"]
        found = f"{row['ours']:.1f} s, MLflow {row['theirs']:.1f} s: {_ratio(row, 2)}"
        bars.append(("start to ready", found, "at most 0.5"))
    if "evenly" in result:
        turns = result["evenly"]
        ratio = statistics.median(turn["ratio"] for turn in turns)
        p50, p99 = (statistics.median(turn[key] for turn in turns) for key in ("p50", "p99"))
        found = f"p50 {p50:.1f} ms, p99 {p99:.1f} ms: **{ratio:.1f}**"
        bars.append(("p99 / p50 at an even half of the highest rate", found, "at most 3"))
    if "bulk" in result:
        row = result["bulk"]
        what = f"{row['series']:,} series in one bulk call, against the bare forward pass"
        bars.append((what, f"{row['ours']:,.0f} series/s, bare {row['theirs']:,.0f}: {_ratio(row, 2)}", "at least 0.8"))
        bars.append(("memory that this call takes at its peak", f"{row['peak_megabytes']:.0f} MB", "bounded"))
    if "memory" in result:
        memory = result["memory"]
        bars.append(("memory of a fresh worker", f"{memory['fresh']:.0f} MB", "at most 450 MB"))
        for key, what in (
            ("requests", "requests"),
            ("control", "requests, with a leak of 200 bytes"),
            ("reloads", "reloads"),
        ):
            row = memory[key]
            count = f"{row['reloads' if key == 'reloads' else 'requests']:,.0f} {what}"
            found = f"{row['bytes_each']:,.1f} ± {row['error']:.1f} bytes each, {row['megabytes']:.0f} MB in the end"
            bars.append((f"growth over {count}", found, "to be seen" if key == "control" else "none"))
    return bars


def _forward(ways: list[Summary]) -> str:
    counts = list(next(way["windows"] for way in ways if "windows" in way))
    header = (
        "forward pass",
        "s to prepare",
        "largest error",
        *(f"{count} windows, µs (times faster)" for count in counts),
    )
    rows = []
    for way in ways:
        if "fault" in way:
            rows.append((way["way"], way["fault"], *("" for _ in range(len(counts) + 1))))
            continue
        each = [f"{one['microseconds']:,.0f} ({one['ratio']:.2f})" for one in way["windows"].values()]
        rows.append((way["way"], f"{way['prepare']:.1f}", f"{way['error']:.0e}", *each))
    return _table(header, rows)


def _figures(row: Summary) -> tuple[str, ...]:
    forms = {"smape": ".2f", "mase": ".3f", "owa": ".3f", "wql": ".3f", "coverage80": ".0%"}
    minutes = f"{row['seconds'] / 60:.1f}" if "seconds" in row else ""
    return (*(format(row[key], form) if key in row else "" for key, form in forms.items()), minutes)


TABLES: dict[str, Callable[[Any], str]] = {
    "accuracy": accuracy,
    "bulk": bulk,
    "covariates": covariates,
    "inspection": inspection,
    "loop": loop,
    "rates": rates,
    "series_count": series_count,
    "race": race,
    "serving": serving,
    "tracking": tracking,
}

PUBLISHED: dict[str, dict[str, dict[str, float]]] = {
    # M4: the organisers' table of all entries (Makridakis et al. 2020). Tourism: Godahewa et al. 2021 (DeepAR,
    # N-BEATS), and the public results of the fev benchmark (AutoARIMA, TiRex).
    "m4_hourly": {
        "Doornik et al., best entry of the competition": {"smape": 8.913, "mase": 0.801, "owa": 0.410},
        "ES-RNN, winner of the competition": {"smape": 9.328, "mase": 0.893, "owa": 0.440},
        "Chronos-Bolt base, 205 million weights, trained on this set too": {"mase": 0.835},
    },
    "m4_weekly": {
        "Darin and Stellwagen, best entry of the competition": {"smape": 6.582, "mase": 2.107, "owa": 0.739},
        "ES-RNN, winner of the competition": {"smape": 7.817, "mase": 2.356, "owa": 0.851},
    },
    "tourism_monthly": {
        "DeepAR": {"mase": 1.409},
        "TiRex, 35 million weights, zero-shot": {"mase": 1.449},
        "AutoARIMA": {"mase": 1.483},
    },
    "tourism_quarterly": {
        "N-BEATS": {"mase": 1.475},
        "AutoARIMA": {"mase": 1.597},
        "TiRex, 35 million weights, zero-shot": {"mase": 1.606},
    },
}


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


def _rates(row: Summary) -> tuple[str, str]:
    return f"{row['ours']:,.0f}", f"{row['theirs']:,.0f}"


def _ratio(row: Summary, digits: int) -> str:
    return f"**{row['ratio']:.{digits}f}** ({row['lowest']:.{digits}f}-{row['highest']:.{digits}f})"


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _origin(machine: Summary) -> str:
    """The machine a result comes from, in a line."""
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    threads = f"{machine['threads']} {'thread' if machine['threads'] == 1 else 'threads'}"
    return f"*{machine['cores']} {machine['processor']} cores, {threads}; Python {machine['python']}, {versions}*"


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
