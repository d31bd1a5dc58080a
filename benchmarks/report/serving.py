"""The tables of the service: servers side by side, every bar, ways to run the network."""

import statistics

from benchmarks.pairs import Summary
from benchmarks.report.markdown import ratio, table


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
                    "" if name == "service" else ratio(row["rates"], 2),
                    "" if name == "service" else ratio(row["latencies"], 2),
                )
                for name, row in rows.items()
            ]
            parts.append(table(header, lines))
    if bars := _bars(result):
        parts.append(table(("what", "found", "the aim"), bars))
    if "forward" in result:
        parts.append(_forward(result["forward"]))
    return "\n".join(parts)


def _bars(result: Summary) -> list[tuple[str, str, str]]:
    """What else was measured of the service, and what it should be."""
    bars = []
    if "startup" in result:
        row = result["startup"]
        found = f"{row['ours']:.1f} s, MLflow {row['theirs']:.1f} s: {ratio(row, 2)}"
        bars.append(("start to ready", found, "at most 0.5"))
    if "evenly" in result:
        turns = result["evenly"]
        times = statistics.median(turn["ratio"] for turn in turns)
        p50, p99 = (statistics.median(turn[key] for turn in turns) for key in ("p50", "p99"))
        found = f"p50 {p50:.1f} ms, p99 {p99:.1f} ms: **{times:.1f}**"
        bars.append(("p99 / p50 at an even half of the highest rate", found, "at most 3"))
    if "bulk" in result:
        row = result["bulk"]
        what = f"{row['series']:,} series in one bulk call, against the bare forward pass"
        bars.append((what, f"{row['ours']:,.0f} series/s, bare {row['theirs']:,.0f}: {ratio(row, 2)}", "at least 0.8"))
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
    return table(header, rows)
