"""The page: what stands between `<!-- table: NAME -->` and `<!-- end -->` is made from benchmarks/results.

All other text is written by hand. A table whose result is not there stays as it is.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.report.accuracy import accuracy
from benchmarks.report.markdown import origin
from benchmarks.report.pipelines import bulk, covariates, inspection, tracking
from benchmarks.report.race import race
from benchmarks.report.serving import serving
from benchmarks.report.training import loop, rates, series_count

ROOT = Path(__file__).parents[2]
RESULTS, PAGE = ROOT / "benchmarks/results", ROOT / "docs/benchmarks.md"
BLOCK = re.compile(r"(<!-- table: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
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
        content = read(path)
        return f"{head}{make(content['result'])}\n{origin(content['machine'])}\n{tail}"

    return BLOCK.sub(block, page)


def read(path: Path) -> Any:
    """A result that a benchmark has written."""
    return json.loads(path.read_text(encoding="utf-8"))
