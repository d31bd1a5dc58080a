"""Measure what looking inside adds to a training: the recorder while it goes on, the look and the report after it.

    python -m benchmarks.inspection

On the bundled data, with default settings. The recorder's cost is that of a short training with it over one without,
in turns; the look's is its own time.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.pairs import Summary, compare, machine
from forecast import Forecaster, SeriesTable, TrainingConfig, read_series
from forecast.datasets import load_pedestrian
from forecast.inspection import GradientRecorder
from pipelines.inspection import look, write_report

RESULTS = Path(__file__).with_name("results")
KINDS = ("feedforward", "cnn", "rnn", "gru", "lstm")
HORIZON, SHORT, LOOKS = 24, 2, 3


def measure(kinds: tuple[str, ...], pairs: int, epochs: int | None) -> Summary:
    """For each network the seconds of a training, of a look, and the recorder's cost.

    Args:
        kinds: Networks.
        pairs: Turns of a short training with the recorder and one without.
        epochs: Of the whole training; None for as many as there are by default.
    """
    table = read_series(load_pedestrian())
    return {kind: _measure(kind, table, pairs, epochs) for kind in kinds}


def _measure(kind: str, table: SeriesTable, pairs: int, epochs: int | None) -> Summary:
    short = TrainingConfig(max_epochs=SHORT, patience=SHORT)
    both: dict[bool, list[float]] = {True: [], False: []}
    _fit(kind, table, short, recorded=True)  # loads all code
    for pair in range(pairs):
        for recorded in (True, False) if pair % 2 else (False, True):
            both[recorded].append(_fit(kind, table, short, recorded)[0])
    whole = TrainingConfig(max_epochs=epochs) if epochs else TrainingConfig()
    seconds, model, recorder = _fit(kind, table, whole, recorded=True)
    begin = time.perf_counter()
    model.refit(table)  # as `forecast train` does, to the end of the series
    seconds += time.perf_counter() - begin
    looks = [_look(model, table, recorder) for _ in range(LOOKS)]
    return {"training": seconds, "look": median(looks), "recorder": compare(both[True], both[False])}


def _fit(
    kind: str, table: SeriesTable, training: TrainingConfig, recorded: bool
) -> tuple[float, Forecaster, GradientRecorder]:
    recorder, model = GradientRecorder(), Forecaster(kind, HORIZON, training=training)
    begin = time.perf_counter()
    model.fit(table, [recorder] if recorded else [])
    return time.perf_counter() - begin, model, recorder


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
    result = measure(("lstm",), 1, 1) if arguments.quick else measure(KINDS, 5, None)
    arguments.results.mkdir(parents=True, exist_ok=True)
    content = json.dumps({"machine": machine(), "result": result}, indent=1)
    (arguments.results / "inspection.json").write_text(content + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
