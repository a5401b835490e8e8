"""agentbox: a voice-agent runtime that works with no network. Start reading at README.md."""

import os

__version__ = "0.1.0"

# From 1.31 on onnxruntime's Linux wheels report to their maker from the moment they are imported: they keep a device id
# in the user's cache and ask for mobile.events.data.microsoft.com. Its own disable_telemetry_events() comes too late.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# numpy's OpenBLAS shares a product of 100 rows out over all cores, and each of its threads then spins for 0.13 s in
# case another comes: for an utterance that took 8 ms, the power of many. It is read when numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
