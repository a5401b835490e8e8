"""Piper: voices that the owner brings, each of one language, spoken by the owner's own `piper` program.

The program is under the GPL, and so it is never imported: it runs as a process of its own, once for as long as the
voice is wanted (it takes seconds to load one), and is used by nothing but its published command line. With
`--output_dir` that says where each sound ends, which raw sound on standard output does not: a line of text goes in on
standard input, where no list of processes shows it; a WAV file is written; a line in the program's output names it.
The HTTP server that comes with it would be open to every user of the machine.

Tried with piper-tts (PyPI) 1.8.0 and 1.4.0; 1.3.0 makes one file of all its lines, and is told to be too old by its
silence. Voices are `NAME.onnx` with `NAME.onnx.json` beside it.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from agentbox.errors import ModelError
from agentbox.languages import covers
from agentbox.tts.engine import NOTHING, Samples

LOAD_LIMIT_S = 30.0
SAY_LIMIT_S = 20.0

_INSTALL = (
    "Run: python3 -m venv /opt/piper && /opt/piper/bin/pip install piper-tts; "
    "then set speech.piper_program to /opt/piper/bin/piper"
)
_OUTPUT_BYTES = 64 << 10
"""More than this without an end of line is nothing that names a file."""

_TRIAL = "1"
"""Can be said in every language; when it has been, the voice is loaded."""

_NO_SOUND = "channels not specified"
"""With these last words (of Python's `wave`) it ends where nothing in a text has a sound: "٣" for an English voice."""

_LANGUAGES = {"cmn": "zh", "yue": "zh-HK"}
"""Of languages that espeak-ng calls otherwise than BCP-47."""


class _Audio(msgspec.Struct):
    sample_rate: Annotated[int, Meta(ge=8_000, le=96_000)]


class _Language(msgspec.Struct):
    code: str = ""


class _Espeak(msgspec.Struct):
    voice: str = ""


class _Inference(msgspec.Struct):
    length_scale: Annotated[float, Meta(gt=0.0, le=10.0)] = 1.0


class Card(msgspec.Struct):
    """What a voice says of itself in its `.onnx.json`; only what is used here."""

    audio: _Audio
    language: _Language = msgspec.field(default_factory=_Language)
    espeak: _Espeak = msgspec.field(default_factory=_Espeak)
    inference: _Inference = msgspec.field(default_factory=_Inference)

    @property
    def tag(self) -> str:
        """The language, without its country: `en` of "en_US", `zh` of "cmn". Empty where it is not told."""
        code = re.split("[-_]", (self.language.code or self.espeak.voice).lower())[0]
        return _LANGUAGES.get(code, code)


class PiperVoice:
    """See `engine.Voice`. `file`: the voice's `.onnx`; `program`: a path, or a name that is looked for beside the
    Python that runs this, then in `$PATH`; `pace`: the one it is made ready for, others cost the time to load it.

    Raises `ModelError` `voice_missing` where one of the files is missing or damaged, the program is not installed or
    cannot load the voice, or the voice speaks another language than `language` (BCP-47).
    """

    def __init__(self, file: Path, program: str, language: str, pace: float = 1.0) -> None:
        card = _card(file)
        if not covers(card.tag, language):
            raise ModelError(
                "voice_missing",
                f"The voice {file.stem} speaks {card.tag or 'nobody knows which language'}, not {language}.",
                "Set speech.piper_voice to a voice for the language, or speech.voice to auto.",
            )
        self.name = f"piper-{file.stem}"
        self.languages: tuple[str, ...] = (card.tag,)
        self.sample_rate_hz = card.audio.sample_rate
        self._file = file
        self._command = find_program(program)
        self._slowness = card.inference.length_scale
        self._pace = pace
        self._program: _Program | None = None
        try:
            self._ready(pace)
        except (EOFError, OSError, wave.Error) as error:
            raise ModelError(
                "voice_missing",
                f"{self._command} cannot speak with the voice {file}: {str(error) or type(error).__name__}.",
                "Is it piper-tts 1.4 or later, and is the file whole? Fetch the voice again.",
            ) from error

    def say(self, text: str, pace: float = 1.0) -> Samples:
        if not any(map(str.isalnum, text)):
            return NOTHING
        # One line is one sound. Double brackets would be read as phonemes.
        line = " ".join(text.replace("[[", "[ [").replace("\0", " ").split())
        for again in (False, True):
            try:
                return self._ready(pace).say(line, self.sample_rate_hz, SAY_LIMIT_S)
            except (EOFError, OSError, wave.Error) as error:
                self.close()
                if _NO_SOUND in str(error):
                    return NOTHING
                # A program that died may have been killed for memory: it has a second chance. One that hangs has not,
                # the owner has waited long enough.
                if again or isinstance(error, TimeoutError):
                    raise ModelError(
                        "voice_failed", f"The voice {self.name} did not answer.", "Run: agentbox doctor"
                    ) from error
        raise AssertionError

    def close(self) -> None:
        """End the program; what is said afterwards starts it again."""
        if self._program is not None:
            self._program.close()
        self._program = None

    def _ready(self, pace: float) -> _Program:
        """The program with the voice loaded. Raises `EOFError`, `OSError`, `wave.Error`."""
        if self._program is not None and self._pace != pace:
            self.close()
        if self._program is None:
            scale = f"{self._slowness / pace:.4f}"
            program = _Program([self._command, "--model", str(self._file), "--length_scale", scale])
            try:
                program.say(_TRIAL, self.sample_rate_hz, LOAD_LIMIT_S)
            except (EOFError, OSError, wave.Error):
                program.close()
                raise
            self._program, self._pace = program, pace
        return self._program


class _Program:
    """Piper, running. Raises `OSError` where it cannot be started."""

    def __init__(self, command: Sequence[str]) -> None:
        # What is said may be what was heard: it is not written to a disk, where something else is to be had.
        self._folder = Path(tempfile.mkdtemp(prefix="agentbox-voice-", dir=_in_memory()))
        self._wav = re.compile(re.escape(os.fsencode(self._folder)) + rb"/[^/]+\.wav")
        self._output = b""
        try:
            self._process = subprocess.Popen(  # noqa: S603 - there is no shell, and the owner names the program
                [*command, "--output_dir", str(self._folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                bufsize=0,
                cwd=self._folder,
                # Whatever the locale is, text is UTF-8.
                env={**os.environ, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"},
                # Ctrl-C is for the box, which may still have to speak. What the program starts ends with it.
                start_new_session=True,
            )
        except OSError:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        os.set_blocking(self._in.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._out, selectors.EVENT_READ)

    def say(self, line: str, rate_hz: int, limit_s: float) -> Samples:
        """Raises `EOFError` with its last words where it ended, `TimeoutError`, another `OSError`, or `wave.Error`."""
        end_s = time.monotonic() + limit_s
        data = line.encode("utf-8", "replace") + b"\n"
        with contextlib.suppress(BrokenPipeError):  # its last words tell more
            if self._in.write(data) != len(data):
                raise TimeoutError("it does not read what it is to say")
        path = self._named(end_s)
        try:
            return _samples(path, rate_hz)
        finally:
            path.unlink(missing_ok=True)

    def _named(self, end_s: float) -> Path:
        """The file that it says it has written."""
        while True:
            *lines, self._output = self._output.split(b"\n")
            for line in lines:
                if found := self._wav.search(line):
                    return Path(os.fsdecode(found[0]))
            if not self._selector.select(max(0.0, end_s - time.monotonic())):
                raise TimeoutError("it does not answer")
            more = self._out.read(_OUTPUT_BYTES)
            if not more:
                raise EOFError(_last_words([*lines, self._output]) or "it ended without a word")
            # The last line that ended stays, for the case that it ends.
            self._output = b"\n".join([*lines[-1:], self._output + more])[-_OUTPUT_BYTES:]

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._selector.close()
        self._in.close()
        self._out.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def find_program(program: str) -> str:
    """The path of `program`. Raises `ModelError` `voice_missing` where it is not installed."""
    beside = os.path.dirname(sys.executable)
    found = shutil.which(program, path=os.pathsep.join([beside, os.environ.get("PATH", os.defpath)]))
    if found is None:
        raise ModelError("voice_missing", f"The program {program}, which Piper's voices need, is not there.", _INSTALL)
    return found


def _card(file: Path) -> Card:
    """Raises `ModelError` `voice_missing`."""
    beside = Path(f"{file}.json")
    try:
        with file.open("rb"):
            pass
        return msgspec.json.decode(beside.read_bytes(), type=Card)
    except OSError as error:
        raise ModelError(
            "voice_missing",
            f"The file {error.filename} of a Piper voice cannot be read: {error.strerror}.",
            "A voice is two files beside each other, NAME.onnx and NAME.onnx.json: docs/models.md, Voices.",
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(
            "voice_missing", f"{beside} does not describe a Piper voice: {error}.", "Fetch that file again."
        ) from error


def _in_memory() -> str | None:
    """A folder that is no disk; null: there is none, and any other place for temporary files must do."""
    service = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    for folder in (service, os.environ.get("XDG_RUNTIME_DIR"), "/dev/shm"):  # noqa: S108 - mkdtemp makes it safe
        if folder and os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK):
            return folder
    return None


def _samples(path: Path, rate_hz: int) -> Samples:
    with wave.open(str(path), "rb") as file:
        if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, rate_hz):
            raise wave.Error(f"it made other sound than its description says ({rate_hz} Hz)")
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(np.int16)


def _last_words(lines: Sequence[bytes]) -> str:
    said = [line.decode("utf-8", "replace").strip() for line in lines]
    return next((line[:400] for line in reversed(said) if line), "")
