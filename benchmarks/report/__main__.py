"""Write the results into docs/benchmarks.md, and draw its picture."""

from pathlib import Path

from benchmarks.report.page import fill, read
from benchmarks.report.race import PICTURE, draw

ROOT = Path(__file__).parents[2]
RESULTS, PAGE = ROOT / "benchmarks/results", ROOT / "docs/benchmarks.md"


def main() -> None:
    PAGE.write_text(fill(PAGE.read_text(encoding="utf-8"), RESULTS), encoding="utf-8")
    if (RESULTS / "race.json").is_file():
        draw(read(RESULTS / "race.json")["result"], PICTURE)


if __name__ == "__main__":
    main()
