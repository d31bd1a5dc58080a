"""Side-by-side measurements: `make bench DATA=folder`. docs/benchmarks.md shows and explains the results."""
