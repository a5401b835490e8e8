"""agentbox: a voice-agent runtime that works with no network. Start reading at README.md."""

__version__ = "0.1.0"
