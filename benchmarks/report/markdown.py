"""How figures are written in docs/benchmarks.md."""

from collections.abc import Sequence

from benchmarks.pairs import Summary


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table of Markdown."""
    lines = [header, ("---",) * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def both_rates(row: Summary) -> tuple[str, str]:
    """Of a pair: ours and theirs."""
    return f"{row['ours']:,.0f}", f"{row['theirs']:,.0f}"


def ratio(row: Summary, digits: int) -> str:
    """Of pairs: the median ratio, and the lowest and the highest."""
    return f"**{row['ratio']:.{digits}f}** ({row['lowest']:.{digits}f}-{row['highest']:.{digits}f})"


def origin(machine: Summary) -> str:
    """The machine a result comes from, in a line."""
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    threads = f"{machine['threads']} {'thread' if machine['threads'] == 1 else 'threads'}"
    return f"*{machine['cores']} {machine['processor']} cores, {threads}; Python {machine['python']}, {versions}*"
