"""The forward pass in each of the ways that torch and others offer to run it: how fast, and how exact.

One thread, as the service has; what is compared is the whole network, from windows to quantiles, by the number of
windows. A way is worth its trouble if it is at least 1.3 times as fast as eager torch and exact to 1e-4 of the largest
value. Runs in the peers' environment, which has ONNX Runtime:

    python -m benchmarks.forward MODEL
"""

import io
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import torch
from torch import Tensor, nn

from benchmarks.pairs import Summary
from forecast import Forecaster
from forecast.calendar import feature_names
from forecast.networks import Ensemble

WINDOWS = (1, 8, 32, 256)
TURNS = 9

Inputs = tuple[Tensor, ...]
Way = Callable[..., Tensor]


def measure(folder: str | Path) -> list[Summary]:
    """For each way `way`, the seconds to `prepare` it, the largest `error`, and by windows its time and `ratio`."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model = Forecaster.load(folder)
    network, rows = model.network, []
    inputs = {count: _inputs(model, count) for count in WINDOWS}
    expected = {count: _run(network, one) for count, one in inputs.items()}
    for name, prepare in WAYS.items():
        begin = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                way = prepare(model, inputs[WINDOWS[1]])
                found = {count: _run(way, one) for count, one in inputs.items()}
        except Exception as error:
            rows.append({"way": name, "fault": f"not possible: {type(error).__name__}"})
            continue
        row: Summary = {"way": name, "prepare": time.perf_counter() - begin}
        row["error"] = max(float((found[n] - expected[n]).abs().max() / expected[n].abs().max()) for n in WINDOWS)
        row["windows"] = {str(count): _compare(way, network, one) for count, one in inputs.items()}
        rows.append(row)
    torch.set_num_threads(threads)
    return rows


def _compare(way: Way, eager: Ensemble, inputs: Inputs) -> Summary:
    """Microseconds of both, in turns, and the median of how many times faster it is."""
    repeats = max(200 // len(inputs[0]), 5)
    turns = [(_seconds(way, inputs, repeats), _seconds(eager, inputs, repeats)) for _ in range(TURNS)]
    return {
        "microseconds": statistics.median(mine for mine, _ in turns) * 1e6,
        "ratio": statistics.median(theirs / mine for mine, theirs in turns),
    }


def _seconds(way: Way, inputs: Inputs, repeats: int) -> float:
    begin = time.perf_counter()
    with torch.inference_mode():
        for _ in range(repeats):
            way(*inputs)
    return (time.perf_counter() - begin) / repeats


def _run(way: Way, inputs: Inputs) -> Tensor:
    with torch.inference_mode():
        return way(*inputs).clone()


def _inputs(model: Forecaster, count: int) -> Inputs:
    length, horizon = model.context_length, model.prediction_length
    generator = torch.Generator().manual_seed(count)
    known = torch.randn(
        count, length + horizon, len(feature_names(model.config.calendar_frequency)), generator=generator
    )
    context = 100 + 50 * torch.rand(count, length, generator=generator)
    return context, torch.ones_like(context, dtype=torch.bool), known, torch.empty(count, 0)


def _exported(model: Forecaster, inputs: Inputs) -> torch.export.ExportedProgram:
    count = torch.export.Dim("count", min=1, max=4096)
    return torch.export.export(model.network, inputs, dynamic_shapes=tuple({0: count} for _ in inputs))


def _compile(model: Forecaster, inputs: Inputs) -> Way:
    return torch.compile(model.network, dynamic=True)


def _export(model: Forecaster, inputs: Inputs) -> Way:
    way: Way = _exported(model, inputs).module()
    return way


def _aot(model: Forecaster, inputs: Inputs) -> Way:
    package = io.BytesIO()
    torch._inductor.aoti_compile_and_package(_exported(model, inputs), package_path=package)
    package.seek(0)
    way: Way = torch._inductor.aoti_load_package(package)
    return way


def _int8(model: Forecaster, inputs: Inputs) -> Way:
    quantise = torch.ao.quantization.quantize_dynamic
    way: Way = quantise(model.network, {nn.LSTM, nn.Linear}, torch.qint8)  # type: ignore[no-untyped-call]
    return way


def _onnx(model: Forecaster, inputs: Inputs) -> Way:
    program = torch.onnx.export(_exported(model, inputs), ())
    if program is None:
        raise RuntimeError("nothing was exported")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), options)
    names = [one.name for one in session.get_inputs()]

    def way(*given: Tensor) -> Tensor:
        feed = {name: one.numpy() for name, one in zip(names, given, strict=False)}
        return torch.from_numpy(session.run(None, feed)[0])

    return way


WAYS: dict[str, Callable[[Forecaster, Inputs], Way]] = {
    "TorchScript (what the service does)": lambda model, inputs: model.compile().forecasting,
    "torch.compile": _compile,
    "torch.export": _export,
    "AOTInductor": _aot,
    "int8": _int8,
    "ONNX Runtime": _onnx,
}

if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
