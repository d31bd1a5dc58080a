"""The tables of training speed."""

from benchmarks.pairs import Summary
from benchmarks.report.markdown import both_rates, ratio, table


def loop(result: Summary) -> str:
    rows = [(kind, *both_rates(row), ratio(row, 2)) for kind, row in result.items()]
    return table(("network", "fit, windows/s", "bare loop, windows/s", "fit / bare (lowest-highest)"), rows)


def rates(result: Summary) -> str:
    rows = [(kind, row["peer"], *both_rates(row), ratio(row, 1)) for kind, row in result.items()]
    return table(("ours", "theirs", "ours, windows/s", "theirs, windows/s", "ours / theirs (lowest-highest)"), rows)


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
    return table(("series", "µs per window", "s before the first step", "data, MB", "peak, MB", "peak / data"), rows)
