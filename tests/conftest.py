"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentbox.asr.catalogue import Catalogue
from agentbox.asr.pull import ensure


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """A models' folder with the default speech model and the voice detector, kept from one run to the next.

    `$AGENTBOX_TEST_MODELS`, or `~/.cache/agentbox-test-models`; filled through the catalogue, so a first run needs
    pip to reach its index.
    """
    asked = os.environ.get("AGENTBOX_TEST_MODELS")
    folder = Path(asked) if asked else Path.home() / ".cache" / "agentbox-test-models"
    catalogue = Catalogue.load()
    for name in ("moonshine-tiny-en", "silero-vad-16k"):
        ensure(catalogue.get(name), folder)
    return folder
