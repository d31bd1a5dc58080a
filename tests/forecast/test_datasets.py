from pathlib import Path

import pandas as pd

from forecast import datasets, read_series


def test_pedestrian_is_two_years_of_hours_in_melbourne():
    frame = datasets.load_pedestrian()
    assert frame.columns.tolist() == ["item_id", "timestamp", "target"]
    assert len(frame) == 66_037
    assert frame["item_id"].nunique() == 4
    assert str(frame["timestamp"].dt.tz) == "Australia/Melbourne"
    assert frame["timestamp"].min() == pd.Timestamp("2015-01-01", tz="Australia/Melbourne")
    assert frame["timestamp"].max() == pd.Timestamp("2016-12-31 23:00", tz="Australia/Melbourne")
    assert (frame["target"] >= 0).all()
    assert not frame.duplicated(["item_id", "timestamp"]).any()
    pd.testing.assert_frame_equal(frame, frame.sort_values(["item_id", "timestamp"], ignore_index=True))


def test_its_gaps_are_told(recwarn):
    table = read_series(datasets.load_pedestrian())
    assert table.frequency.alias == "h"
    assert table.observed.sum() == 66_037
    assert "have missing values" in str(recwarn.pop().message)
    assert "Birrarung Marr" in table.item_ids


def test_its_source_is_named_beside_it():
    folder = Path(datasets.__file__).parent
    text = (folder / "ATTRIBUTION.md").read_text()
    assert "City of Melbourne" in text
    assert "creativecommons.org/licenses/by/4.0" in text
    assert (folder / "pedestrian.parquet").stat().st_size < 500_000
