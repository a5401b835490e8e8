"""A small model of no sense to pull, and what a pull leaves behind."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import msgspec

from agentbox.asr.catalogue import RECORD, Model

FILES = {
    "encoder.bin": random.Random(1).randbytes(700_000),
    "tokens.bin": random.Random(2).randbytes(5_000),
}
CLOSED_PORT = "http://127.0.0.1:9"  # discard: nothing listens there


def model(*sources: dict[str, Any], hashed: bool = True) -> Model:
    return msgspec.convert(
        {
            "name": "small",
            "kind": "vad",
            "family": "silero",
            "about": "-",
            "languages": [],
            "licence": "-",
            "files": {
                name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest() if hashed else None}
                for name, content in FILES.items()
            },
            "sources": sources,
        },
        Model,
    )


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != RECORD}


def leftovers(models: Path) -> list[str]:
    return sorted(path.name for path in (models / ".pull").rglob("*") if path.is_file() and path.suffix != ".lock")
