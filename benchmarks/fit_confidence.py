"""Fits how sure a command is (agentbox/intents/confidence.py) to what decoding found of many recordings.

    python -m benchmarks.fit_confidence [SCORES.csv]

The scores come from `agentbox bench commands --scores`: for each clip the evidence, and whether the likeliest meaning
was right; speech that is no command is never right. The weights are found by logistic regression with a small ridge.
What is printed of act and ask comes from cross-validation over clips: each probability is told by weights that were
fitted without it, in whatever noise or under whatever sentences it was heard.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentbox.intents.confidence import ACT, ASK, Evidence, probability, terms

Floats: TypeAlias = NDArray[np.float64]

SCORES = Path(__file__).with_name("confidence-scores.csv")
FOLDS = 10
RIDGE = 1.0
_ROUNDS = 60


class Row(NamedTuple):
    """One clip in one condition."""

    set: str
    clip: str
    condition: str
    right: bool
    evidence: Evidence
    is_command: bool


def read_rows(path: Path) -> list[Row]:
    """The rows of a file of scores. Sets without a right row hold no commands."""
    with path.open(newline="", encoding="utf-8") as file:
        raw = list(csv.DictReader(file))
    commands = {row["set"] for row in raw if row["right"] == "1"}
    return [
        Row(
            row["set"],
            row["clip"],
            row["condition"],
            row["right"] == "1",
            Evidence(*(float(row[name]) for name in Evidence._fields)),  # type: ignore[arg-type]
            row["set"] in commands,
        )
        for row in raw
    ]


def fit(rows: Sequence[Row]) -> Floats:
    """Weights for `confidence.terms`, by Newton's method. Each set counts as much as any other of its kind."""
    features = np.array([terms(row.evidence) for row in rows])
    right = np.array([row.right for row in rows], dtype=np.float64)
    importance = _importance(rows)
    weights = np.zeros(features.shape[1])
    for _ in range(_ROUNDS):
        told = 1 / (1 + np.exp(-np.clip(features @ weights, -40, 40)))
        slope = features.T @ (importance * (right - told)) - RIDGE * weights
        curve = (features * (importance * told * (1 - told))[:, None]).T @ features + RIDGE * np.eye(weights.size)
        weights = weights + np.linalg.solve(curve, slope)
    return weights


def _importance(rows: Sequence[Row]) -> Floats:
    """Commands and other speech weigh the same in all, whichever there is more of."""
    commands = np.array([row.is_command for row in rows])
    share = commands.mean()
    return np.asarray(np.where(commands, 0.5 / max(share, 1e-9), 0.5 / max(1 - share, 1e-9)), dtype=np.float64)


def cross_validated(rows: Sequence[Row]) -> Floats:
    """Each row's probability by weights fitted without its clip."""
    folds = np.array([int(hashlib.sha256(row.clip.encode()).hexdigest(), 16) % FOLDS for row in rows])
    told = np.zeros(len(rows))
    for fold in range(FOLDS):
        weights = fit([row for row, at in zip(rows, folds, strict=True) if at != fold])
        for index in np.flatnonzero(folds == fold).tolist():
            told[index] = probability(rows[index].evidence, weights.tolist())
    return told


def report(rows: Sequence[Row], told: Floats, act: float, ask: float) -> None:
    """What would be acted on and asked about, by set and condition."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        groups[row.set, row.condition].append(index)
    print(f"{'set':34}{'noise':>6}{'clips':>7}{'right':>8}{'act+right':>11}{'act wrong':>11}{'ask':>8}")
    for (name, condition), members in groups.items():
        right = np.array([rows[index].right for index in members])
        sure = told[members]
        acted, asked = sure >= act, (sure >= ask) & (sure < act)
        shares = (right.mean(), (acted & right).mean(), (acted & ~right).mean(), asked.mean())
        print(f"{name:34}{condition:>6}{len(members):7}" + "".join(f"{share:10.2%}" for share in shares))


def calibration(rows: Sequence[Row], told: Floats) -> None:
    """How often the likeliest meaning was right, by what was told."""
    right = np.array([row.right for row in rows])
    edges = [0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1.01]
    print("\ntold          clips   right")
    for low, high in pairwise(edges):
        inside = (told >= low) & (told < high)
        if inside.any():
            print(f"{low:4.2f} - {min(high, 1):4.2f}  {inside.sum():7}  {right[inside].mean():6.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scores", nargs="?", type=Path, default=SCORES)
    parser.add_argument("--act", type=float, default=ACT)
    parser.add_argument("--ask", type=float, default=ASK)
    arguments = parser.parse_args()
    rows = read_rows(arguments.scores)
    told = cross_validated(rows)
    report(rows, told, arguments.act, arguments.ask)
    calibration(rows, told)
    print("\nWEIGHTS =", tuple(round(float(weight), 3) for weight in fit(rows)))


if __name__ == "__main__":
    main()
