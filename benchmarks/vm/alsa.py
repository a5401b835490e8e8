from pathlib import Path


def run(work: Path, unit: Path, log: Path | None) -> int:
    return 1
