"""The tables of what surrounds a training: covariates, bulk forecasts, tracking, the look inside."""

from benchmarks.pairs import Summary
from benchmarks.report.markdown import both_rates, ratio, table


def covariates(result: Summary) -> str:
    """The errors of both, and by how much they differ."""
    rows = [
        (name, f"{sum(run['mae']) / len(run['mae']):.0f}", ", ".join(f"{error:.0f}" for error in run["mae"]))
        for name, run in (("with", result["with"]), ("without", result["without"]))
    ]
    summary = f"\nWith them the error is {result['lower_by']:.0%} lower.\n"
    return table(("temperature and holidays", "MAE, MW", "of each seed"), rows) + summary


def bulk(result: Summary) -> str:
    """Series per second, then memory by the number of series."""
    rates = [
        (threads, *both_rates(row), f"{row['batch_size']}", ratio(row, 2))
        for threads, row in result["throughput"].items()
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
    return table(header, rates) + "\n" + table(("series", "data file, MB", "output file, MB", "peak, MB"), sizes)


def tracking(result: Summary) -> str:
    """Seconds of a training with and without tracking."""
    rows = [(name, f"{row['ours']:.2f}", f"{row['theirs']:.2f}", ratio(row, 3)) for name, row in result.items()]
    return table(("network, store", "tracked, s", "not tracked, s", "tracked / not (lowest-highest)"), rows)


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
    return table(("network", "training, s", "recorder, s", "look and report, s", "added"), rows)
