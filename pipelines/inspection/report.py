"""What was seen of a model, as a folder: a summary, tables, and one page that opens offline."""

import json
from collections.abc import Iterator
from pathlib import Path

from forecast.calendar import Frequency
from forecast.inspection import Finding
from pipelines.inspection import backward, explained, forward, learning
from pipelines.inspection.looking import Seen
from pipelines.pictures import Passage, Picture, learning_curves, part, write_page

REPORT, SUMMARY = "report.html", "summary.json"
HEALTHY = "Nothing is wrong that these views can tell."


def write_report(folder: Path, title: str, seen: Seen, frequency: Frequency) -> None:
    """Write `report.html`, `summary.json` and a Parquet file for each table.

    Args:
        folder: Where to; made if it is not there.
        title: The page's title.
        seen: What was seen.
        frequency: Of the series: axes have its units.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_page(folder / REPORT, title, _content(seen, frequency))
    for name, frame in seen.tables().items():
        frame.to_parquet(folder / f"{name}.parquet", index=False)
    (folder / SUMMARY).write_text(json.dumps(seen.summary(), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def in_words(finding: Finding) -> str:
    """A finding as a sentence or two: where, what was measured, what to try."""
    place = ": ".join(name for name in (finding.member, finding.layer) if name)
    evidence = finding.evidence[0].upper() + finding.evidence[1:]
    return f"{finding.severity}, {finding.code} ({place}). {evidence}. Try: {finding.advice}."


def _content(seen: Seen, frequency: Frequency) -> Iterator[Picture | Passage]:
    yield part("Findings", [in_words(finding) for finding in seen.findings] or [HEALTHY])
    members, several = seen.model.members, len(seen.model.members) > 1
    if seen.history:
        yield learning_curves(seen.history, [member.name.split()[-1] for member in members])
    if seen.optimizers is not None:
        yield learning.optimizers(seen.optimizers)
    for number, (member, forecast) in enumerate(zip(members, seen.forecasts, strict=True)):
        whole, one = "Network", "One forecast explained"
        if several:
            whole, one = f"Network {member.name}", f"One forecast explained: network {member.name}"
        yield part(whole)
        yield forward.layers(member)
        yield from _there(
            forward.units(member),
            forward.gates(member),
            forward.forget_times(member, frequency),
            forward.rhythms(member, frequency),
            backward.gradients_while_training(member),
            backward.updates_while_training(member),
            learning.learning_rate(member.learning_rate) if member.learning_rate else None,
            backward.through_time(member, frequency),
        )
        yield backward.connectivity(member.connectivity, frequency)
        yield from _there(backward.spectrum(member))
        if seen.landscapes:
            yield learning.landscape(seen.landscapes[number])
        yield part(one)
        yield explained.rests_on(forecast)
        yield from _there(explained.covariates(forecast), forward.trajectory(forecast), explained.similar(forecast))


def _there(*pictures: Picture | None) -> Iterator[Picture]:
    """Those of a network that has what they show."""
    yield from (picture for picture in pictures if picture is not None)
