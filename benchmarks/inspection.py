"""Measure what looking inside adds to a training: the recorder while it goes on, the look and the report after it.

    python -m benchmarks.inspection

On the bundled data, with default settings. The recorder's cost is the time that a training spends in it: a few
thousandths, which the times of two whole trainings, each a few hundredths off, could not tell.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.pairs import Summary, machine
from forecast import Forecaster, SeriesTable, TrainingConfig, read_series
from forecast.datasets import load_pedestrian
from forecast.inspection import GradientRecorder
from pipelines.inspection import look, write_report

RESULTS = Path(__file__).with_name("results")
KINDS = ("feedforward", "cnn", "rnn", "gru", "lstm")
HORIZON, LOOKS = 24, 3


class TimedRecorder(GradientRecorder):
    """The recorder, and how long a training waited for it.

    Attributes:
        seconds: Spent in it so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def on_before_optimizer_step(self, *words: Any) -> None:
        begin = time.perf_counter()
        super().on_before_optimizer_step(*words)
        self.seconds += time.perf_counter() - begin

    def on_train_batch_end(self, *words: Any) -> None:
        begin = time.perf_counter()
        super().on_train_batch_end(*words)
        self.seconds += time.perf_counter() - begin

    def state_dict(self) -> dict[str, Any]:
        begin = time.perf_counter()
        state = super().state_dict()
        self.seconds += time.perf_counter() - begin
        return state


def measure(kinds: tuple[str, ...], epochs: int | None) -> Summary:
    """For each network the seconds of a whole training, and of those the ones in the recorder; and of a look.

    Args:
        kinds: Networks.
        epochs: Of the training; None for as many as there are by default.
    """
    table = read_series(load_pedestrian())
    return {kind: _measure(kind, table, epochs) for kind in kinds}


def _measure(kind: str, table: SeriesTable, epochs: int | None) -> Summary:
    training = TrainingConfig(max_epochs=epochs) if epochs else TrainingConfig()
    recorder, model = TimedRecorder(), Forecaster(kind, HORIZON, training=training)
    begin = time.perf_counter()
    model.fit(table, [recorder])
    model.refit(table)  # as `forecast train` does, to the end of the series
    seconds = time.perf_counter() - begin
    looks = [_look(model, table, recorder) for _ in range(LOOKS)]
    return {"training": seconds, "recorder": recorder.seconds, "look": median(looks)}


def _look(model: Forecaster, table: SeriesTable, recorder: GradientRecorder) -> float:
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        write_report(Path(folder), "Inside", look(model, table, trainings=recorder.trainings), table.frequency)
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to write a JSON file to")
    parser.add_argument("--quick", action="store_true", help="see that everything runs")
    arguments = parser.parse_args()
    result = measure(("lstm",), 1) if arguments.quick else measure(KINDS, None)
    arguments.results.mkdir(parents=True, exist_ok=True)
    content = json.dumps({"machine": machine(), "result": result}, indent=1)
    (arguments.results / "inspection.json").write_text(content + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
