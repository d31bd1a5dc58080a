"""docs/benchmarks.md, made from benchmarks/results: `python -m benchmarks.report`."""
