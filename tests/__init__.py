"""The tests of the house: tests/ROOM for each of its rooms."""

import agentbox  # noqa: F401 - before numpy, whose threads it keeps from spinning
