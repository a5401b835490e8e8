"""Scripts that make and collect sets of speech for the benchmarks; run them with `python -m benchmarks.NAME`."""
