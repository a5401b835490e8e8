"""The default voice: hibari-tts ("heart", American English), 8 MB of network and a pronouncing dictionary.

The package (Apache-2.0) brings the network, the dictionary and the code that reads text. Two things are done otherwise
here: the network runs in the arena that all models share, and the dictionaries stay on disk (`tables`), since as the
package loads them they take 100 MB. What is said is the same to the sample.
"""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from agentbox.caches import digest
from agentbox.errors import ModelError
from agentbox.inference import GIVE_BACK, open_session
from agentbox.messages import JSON
from agentbox.tts.engine import NOTHING, Samples
from agentbox.tts.tables import Tables, write

NAME = "heart"
_WRITE_LIMIT_S = 120.0
_KIND = "voice"
_SEED = 0
"""A voice's breath is noise: the same words sound the same."""

_LEXICONS = {"gold": "lexicon_us_gold.json.gz", "silver": "lexicon_us_silver.json.gz"}
_TAGS = {"tags_of": "tagdict", "weights": "weights"}
"""Of the part-of-speech tagger: the table, and its name in the package's file."""


class HibariVoice:
    """See `engine.Voice`. `cache`: the folder for the dictionaries; null, or one that cannot be written: they are held
    in memory.

    Raises `ModelError` `voice_missing` where the package is not installed or is not whole.
    """

    languages: tuple[str, ...] = ("en",)

    def __init__(self, cache: Path | None, threads: int = 1) -> None:
        try:
            import hibari
            from hibari import dsp, voices

            model = Path(voices.voice_path(NAME, download_missing=False))
            self._speaker: Any = _speaker(hibari, model, threads)
        except (ImportError, OSError, ValueError, ModelError) as error:
            raise ModelError(
                "voice_missing",
                "The package hibari-tts, which the English voice is made of, is missing or damaged.",
                "Run: pip install --force-reinstall hibari-tts",
            ) from error
        self.name = f"hibari-{NAME}"
        self.sample_rate_hz: int = dsp.SR
        self._file = None if cache is None else cache / f"{_KIND}-{digest(metadata.version('hibari-tts'))}.sqlite"
        self._tables = None if self._file is None else _opened(self._file)
        if self._tables is not None:
            try:
                self._speaker._g2p = _reader(self._tables)
            except sqlite3.DatabaseError:
                self._do_without_tables()

    def say(self, text: str, pace: float = 1.0) -> Samples:
        if not any(map(str.isalnum, text)):
            return NOTHING
        try:
            try:
                sound = self._speaker(text, speed=pace, seed=_SEED)
            except sqlite3.DatabaseError:
                self._do_without_tables()
                sound = self._speaker(text, speed=pace, seed=_SEED)
        except Exception as error:  # the package's own reading of odd text may raise anything
            raise ModelError(
                "voice_failed", f"The voice {self.name} could not say a sentence.", "Run: agentbox doctor"
            ) from error
        samples: Samples = np.clip(np.rint(sound * 32767.0), -32767, 32767).astype(np.int16)
        return samples

    def _do_without_tables(self) -> None:
        """The file is damaged: the package's own dictionaries, then, and a new file at the next start."""
        self._speaker._g2p = None
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.unlink(missing_ok=True)

    def close(self) -> None:
        if self._tables is not None:
            self._tables.close()


class _Session:
    """An onnxruntime session as hibari uses it; what a run took goes back at once."""

    def __init__(self, path: Path, threads: int) -> None:
        self._session = open_session(path, threads)

    def run(self, outputs: list[str] | None, feeds: dict[str, Any]) -> list[Any]:
        found: list[Any] = self._session.run(outputs, feeds, GIVE_BACK)
        return found


def _speaker(hibari: Any, model: Path, threads: int) -> Any:
    """A `hibari.Hibari` on a session of ours (its own constructor opens one with an arena of its own)."""
    speaker = hibari.Hibari.__new__(hibari.Hibari)
    speaker.voice = NAME
    speaker.model_path = str(model)
    speaker.sess = _Session(model, threads)
    speaker.vocab = _asset("vocab.json")
    speaker._g2p = None
    return speaker


def _reader(tables: Tables) -> Any:
    """A `hibari.g2p.G2P` over dictionaries on disk."""
    from hibari.g2p import ASSETS, G2P, Lexicon, Tagger, Tokenizer
    from hibari.g2p.oov import OOV

    reader = G2P.__new__(G2P)
    reader.lexicon = Lexicon(tables.table("gold"), tables.table("silver"))
    reader.tokenizer = Tokenizer(_asset("tokenizer_exceptions.json"))
    kept = tables.table("tagger")
    tagger = {ours: tables.table(table) for table, ours in _TAGS.items()}
    reader.tagger = Tagger({**tagger, "tags": kept.get("tags"), "vocab": kept.get("vocab")})
    unknown = Path(ASSETS) / "oov.onnx"
    reader._oov = OOV(str(unknown), session=_Session(unknown, 1))
    reader.unk = ""
    reader.british = False
    return reader


def _asset(name: str) -> Any:
    from hibari.g2p import _load_json

    return _load_json(name)


def _opened(path: Path) -> Tables | None:
    """The dictionaries on disk, written if they are not there yet; null where they cannot be."""
    for attempt in range(2):
        try:
            return Tables(path)
        except OSError:
            if attempt or not _written(path):
                break
    return None


def _written(path: Path) -> bool:
    # In a process of its own: what it takes to read them is gone with it.
    command = [sys.executable, "-P", "-m", __name__, str(path)]
    try:
        return subprocess.run(command, timeout=_WRITE_LIMIT_S, stdin=subprocess.DEVNULL).returncode == 0  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return False


def _rows() -> dict[str, Iterator[tuple[str, JSON]]]:
    tagger = _asset("tagger.json.gz")
    found = {table: iter(_asset(name).items()) for table, name in _LEXICONS.items()}
    found |= {table: iter(tagger[ours].items()) for table, ours in _TAGS.items()}
    return found | {"tagger": iter({"tags": tagger["tags"], "vocab": tagger["vocab"]}.items())}


def _main(path: Path) -> int:
    try:
        write(path, _rows())
    except OSError:
        return 1
    for older in path.parent.glob(f"{_KIND}-*.sqlite"):
        if older != path:
            older.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1])))
