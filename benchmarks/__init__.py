"""Scripts that make and collect sets of speech for the benchmarks; run them with `python -m benchmarks.NAME`."""

import agentbox  # noqa: F401 - before numpy, whose threads it keeps from spinning
