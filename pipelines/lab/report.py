"""What the experiments found, as a folder: one page to teach from, the numbers, and the tables behind them."""

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from forecast.inspection.results import jsonable
from pipelines.folder import new_folder
from pipelines.lab.experiment import Experiment, Lesson
from pipelines.pictures import Picture, write_page
from pipelines.pictures.page import Passage

REPORT, LAB = "report.html", "lab.json"
TITLE = "The lab: what the textbook says, tried out"
DATA = "hourly counts of pedestrians at four places in Melbourne, 2015 and 2016 (City of Melbourne, CC BY 4.0)"
STYLE = """<style>
.claim { margin: 3.5rem 0 .4rem; border-top: 1px solid #ddd; padding-top: 1.2rem } .claim h1 { margin: 0 }
.verdict { color: #222; border-left: .4rem solid; padding: .2rem .8rem; margin: .8rem 0 }
.holds { border-color: #009E73 } .fails { border-color: #D55E00 }
.formula { font: 1.1rem/1.9 'STIX Two Math', Cambria, Georgia, serif; color: #222; margin: .8rem 1.2rem }
.formula span { display: block } table { border-collapse: collapse }
td { padding: .3rem 1rem .3rem 0; vertical-align: top; border-bottom: 1px solid #eee }
</style>"""


def summary(done: Mapping[str, Experiment]) -> dict[str, Any]:
    """What was found, JSON-able: by experiment its claim, whether it holds and why, and the numbers."""
    found = {
        name: {
            "claim": one.lesson.claim,
            "holds": one.verdict.holds,
            "because": one.verdict.because,
            "numbers": jsonable(one.numbers),
            "seconds": one.seconds,
        }
        for name, one in done.items()
    }
    seconds = round(sum(one.seconds for one in done.values()), 1)
    return {"data": DATA, "seconds": seconds, "experiments": found}


def write(done: Mapping[str, Experiment], output: Path) -> None:
    """Write `report.html`, `lab.json`, and each experiment's tables as Parquet: all of it or nothing.

    Args:
        done: The experiments by name.
        output: The folder, which is not there yet or empty.

    Raises:
        ParameterError: It cannot be written.
    """
    with new_folder(output) as draft:
        write_page(draft / REPORT, TITLE, _content(done))
        text = json.dumps(summary(done), indent=1, ensure_ascii=False, allow_nan=False)
        (draft / LAB).write_text(text + "\n", encoding="utf-8")
        for name, one in done.items():
            for part, table in one.tables.items():
                table.to_parquet(draft / f"{name}-{part}.parquet", index=False)


def formula_html(formula: str) -> str:
    """A formula as HTML, its indices lowered and raised: `h_{t+1}` and `a^k`, with real minus signs and primes."""
    text = escape(formula.replace("'", "\N{PRIME}"), quote=False)
    text = re.sub(r"(?<![a-z]{2})-|-(?![a-z]{2})", "\N{MINUS SIGN}", text)  # but not in words
    text = re.sub(r"_(?:\{([^{}]+)\}|(\w))", lambda found: f"<sub>{found[1] or found[2]}</sub>", text)
    return re.sub(r"\^(?:\{([^{}]+)\}|(\w))", lambda found: f"<sup>{found[1] or found[2]}</sup>", text)


def _content(done: Mapping[str, Experiment]) -> Iterator[Picture | Passage]:
    yield Passage(_overview(done))
    for number, (name, one) in enumerate(done.items(), 1):
        yield Passage(_opening(number, name, one))
        yield from one.pictures


def _overview(done: Mapping[str, Experiment]) -> str:
    held = sum(one.verdict.holds for one in done.values())
    rows = [
        f'<tr><td>{number}</td><td><a href="#{name}">{escape(one.lesson.claim)}</a></td>'
        f"<td>{'holds' if one.verdict.holds else 'does not hold here'}</td></tr>"
        for number, (name, one) in enumerate(done.items(), 1)
    ]
    words = (
        f"{len(done)} claims about neural networks, tried out on {DATA}; {held} of them hold here. Every verdict is "
        "computed from what was measured, so that it may be another with other data. All networks are made of this "
        "project's own parts, small, trained for seconds, from fixed seeds."
    )
    return f"{STYLE}<p>{escape(words)}</p><table>{''.join(rows)}</table>"


def _opening(number: int, name: str, one: Experiment) -> str:
    lesson: Lesson = one.lesson
    kind = "holds" if one.verdict.holds else "fails"
    formulas = "".join(f"<span>{formula_html(formula)}</span>" for formula in lesson.formulas)
    return (
        f'<div class="claim" id="{name}"><h1>{number}. {escape(lesson.claim)}</h1></div>'
        f'<p class="verdict {kind}">{escape(str(one.verdict))}</p><p>{escape(lesson.explanation)}</p>'
        f'<p class="formula">{formulas}</p><p><small>{escape(lesson.source)}</small></p>'
    )
