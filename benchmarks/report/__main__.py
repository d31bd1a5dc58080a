"""Write the results into docs/benchmarks.md, and draw its picture."""

from benchmarks.report.page import PAGE, RESULTS, fill, read
from benchmarks.report.race import PICTURE, draw


def main() -> None:
    PAGE.write_text(fill(PAGE.read_text(encoding="utf-8"), RESULTS), encoding="utf-8")
    if (RESULTS / "race.json").is_file():
        draw(read(RESULTS / "race.json")["result"], PICTURE)


if __name__ == "__main__":
    main()
