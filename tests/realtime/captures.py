"""Frames captured from vendors' SDKs (`../shared/reference/cloud/captures`), read where that folder is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[3] / "shared" / "reference" / "cloud" / "captures"


def frames_of(name: str, direction: str) -> list[dict[str, Any]]:
    """The JSON frames of one capture, `client->server` or `server->client`. Skips the test where there are none."""
    path = FOLDER / f"{name}.jsonl"
    if not path.exists():
        pytest.skip(f"no captured frames: {path.parent.name} is not beside the project")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [line["json"] for line in lines if line["dir"] == direction and "json" in line]
