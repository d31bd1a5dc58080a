"""The bundled real data set."""

from pathlib import Path

import pandas as pd


def load_pedestrian() -> pd.DataFrame:
    """Hourly counts of pedestrians at four places in Melbourne, 2015 and 2016, in local time.

    66,037 rows; whole hours and, at Birrarung Marr, whole weeks are missing.

    Source: City of Melbourne, Pedestrian Counting System, CC BY 4.0 (see ATTRIBUTION.md beside the file).

    Returns:
        `item_id, timestamp, target`, sorted; timestamps in the zone Australia/Melbourne.
    """
    frame = pd.read_parquet(Path(__file__).with_name("pedestrian.parquet"))
    return frame.assign(timestamp=frame["timestamp"].dt.tz_localize("UTC").dt.tz_convert("Australia/Melbourne"))
