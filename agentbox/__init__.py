"""agentbox: a voice-agent runtime that works with no network. Start reading at README.md."""

import os

__version__ = "0.1.0"

# From 1.31 on onnxruntime's Linux wheels report to their maker from the moment they are imported: they keep a device id
# in the user's cache and ask for mobile.events.data.microsoft.com. Its own disable_telemetry_events() comes too late.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
