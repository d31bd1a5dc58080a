"""The tables of docs/benchmarks.md say what was measured."""

import json
import re
from pathlib import Path

import pytest

from benchmarks.pairs import compare, machine, windows_per_second
from benchmarks.report.page import PAGE, TABLES, fill
from benchmarks.report.race import draw, race
from benchmarks.report.training import series_count


def test_a_rate_leaves_out_the_warm_up_and_the_step_that_has_not_ended() -> None:
    assert windows_per_second([0, 9, 10, 12], [1000, 256, 128, 999], 1) == (256 + 128) / 3


def test_a_ratio_is_the_median_of_pairs_not_the_ratio_of_medians() -> None:
    found = compare([10, 20, 90], [10, 5, 30])
    assert (found["ratio"], found["lowest"], found["highest"]) == (3, 1, 4)
    assert (found["ours"], found["theirs"]) == (20, 10)


def run(method: str, seed: int, seconds: float, mase: float) -> dict[str, object]:
    return {"method": method, "seed": seed, "seconds": seconds, "mase": mase}


RACE = {
    "seasonal_naive": 1.25,
    "runs": [
        run("ours, lstm", 0, 2, 1.5),
        run("theirs", 0, 10, 1.4),
        run("ours, lstm", 0, 8, 1.0),
        run("theirs", 0, 40, 1.1),
    ],
}


def test_the_race_compares_the_time_to_the_peers_best() -> None:
    assert "| theirs | 1.100 | 40 | 8 (5.0 times faster) |" in race(RACE)


def test_a_peer_that_stays_ahead_is_told() -> None:
    better = {**RACE, "runs": [*RACE["runs"][:3], run("theirs", 0, 40, 0.9)]}
    assert "| theirs | 0.900 | 40 | not reached |" in race(better)


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    draw(RACE, tmp_path / "images" / "race.png")
    assert (tmp_path / "images" / "race.png").read_bytes().startswith(b"\x89PNG")


def test_only_the_tables_change(tmp_path: Path) -> None:
    row = {"series": 100, "microseconds": 40.4, "setup_seconds": 0.04, "data_bytes": 2e6, "peak_bytes": 5e6}
    (tmp_path / "series_count.json").write_text(json.dumps({"machine": machine(), "result": [row]}))
    page = "text\n<!-- table: series_count -->\nold\n<!-- end -->\n<!-- table: loop -->\nkept\n<!-- end -->\nend\n"
    filled = fill(page, tmp_path)
    assert series_count([row]) in filled
    assert "| 100 | 40 | 0.0 | 2.0 | 5.0 | 2.5 |" in filled
    assert filled.startswith("text\n<!-- table: series_count -->\n| series |")
    assert filled.endswith("<!-- table: loop -->\nkept\n<!-- end -->\nend\n")
    assert fill(filled, tmp_path) == filled


def test_a_table_that_nothing_makes_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="speeed"):
        fill("<!-- table: speeed -->\n<!-- end -->", tmp_path)


def test_the_page_has_every_table() -> None:
    assert set(re.findall(r"<!-- table: (\w+) -->", PAGE.read_text())) == set(TABLES)
