"""`agentbox transcribe`: sound files to text, subtitles and JSON."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import get_args

import click

from agentbox.asr.hotwords.index import HotwordIndex
from agentbox.audio.files import read_file, read_pipe
from agentbox.audio.segment import Samples
from agentbox.cli.common import echo_json, show_error, with_config, with_json
from agentbox.cli.models import ProgressBar
from agentbox.config import Config
from agentbox.daemon.box import load_vad
from agentbox.daemon.captions import Format, Writer, join, make_writer
from agentbox.daemon.hotwords import gather
from agentbox.daemon.long import Reader
from agentbox.daemon.mind import files_of, only_sentences, sentence_paths
from agentbox.daemon.speech_model import load_speech
from agentbox.errors import ExitCode, InputError
from agentbox.messages import JSON
from agentbox.settings import Loaded

PIPE = Path("-")


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--model", metavar="NAME", help="Another model than asr.model.")
@click.option(
    "--format",
    "forms",
    multiple=True,
    type=click.Choice(get_args(Format)),
    help="Text, subtitles (SubRip, WebVTT) or JSON, with the time of each segment; may be given more than once.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write FOLDER/NAME.srt and so on, for a sound file NAME.wav. Without it one form is printed.",
)
@with_json
@with_config
@click.pass_context
def transcribe(
    ctx: click.Context,
    loaded: Loaded,
    files: tuple[Path, ...],
    model: str | None,
    forms: tuple[Format, ...],
    out: Path | None,
    as_json: bool,
) -> None:
    """Write down what is said in sound files of any rate, channel count and length.

    `-` is standard input: a sound file, or raw 16 kHz mono s16le, which is written down while it comes. A file that
    cannot be read is told and the others are done; the exit code is then 3. Of a file that is damaged somewhere, what
    stands before is written. Your names and terms (asr.hotwords, asr.hotwords_file, the lists of your sentences) are
    put right.

    \b
    Examples:
      agentbox transcribe --json speech.wav
      agentbox transcribe --format srt --format txt --out subtitles lecture.mp3 talk.flac
    """
    forms = tuple(dict.fromkeys(forms))
    _check_usage(files, forms, out, as_json)
    config = loaded.config
    name = model or config.asr.model
    bar = ProgressBar()
    engine = load_speech(config, name, progress=bar.show)
    bar.end()
    times = any(form != "txt" for form in forms)
    reader = Reader(engine, load_vad(config), config.language, config.languages, times, _names(config))
    failed = False
    for file in files:
        about: dict[str, JSON] = {"file": click.format_filename(file), "model": name, "language": config.language}
        try:
            if not forms:
                _print_whole(file, reader, about, as_json=as_json, named=len(files) > 1)
            elif out is None:
                _write(file, reader, [make_writer(forms[0], _print)], about)
            else:
                with _opened(out, _stem(file), forms) as writers:
                    _write(file, reader, writers, about)
        except InputError as error:
            show_error(error)
            failed = True
            if error.code == "file_unwritable":
                break  # the next would not be either
    if failed:
        ctx.exit(int(ExitCode.INPUT))


def _names(config: Config) -> HotwordIndex:
    """The owner's; what is left out, of them or of the sentences that hold them, is told on standard error."""
    own = [
        only_sentences(language, files_of(config, language, sentence_paths(config))) for language in config.languages
    ]
    names, problems = gather(config, own)
    for problem in [*(problem for one in own for problem in one.problems), *problems]:
        click.echo(f"{problem.what} {problem.todo}", err=True)
    return HotwordIndex(names)


def _check_usage(files: Sequence[Path], forms: Sequence[Format], out: Path | None, as_json: bool) -> None:
    if files.count(PIPE) > 1:
        raise click.UsageError("Standard input can be read once.")
    if as_json and forms:
        raise click.UsageError("--json prints a line for each file; --format json has the segments. Give one of them.")
    if out is not None and not forms:
        raise click.UsageError("With --out give --format.")
    if out is None and (len(forms) > 1 or (forms and forms[0] != "txt" and len(files) > 1)):
        raise click.UsageError("Several files, or forms, need a folder: give --out.")
    stems = [_stem(file) for file in files]
    if out is not None and (twice := sorted({stem for stem in stems if stems.count(stem) > 1})):
        raise click.UsageError(f"Several files are called {twice[0]}: write them into folders of their own.")


def _stem(file: Path) -> str:
    return "stdin" if file == PIPE else file.stem


def _sound(file: Path) -> Iterable[Samples]:
    if file != PIPE:
        return read_file(file)
    return read_pipe(sys.stdin.buffer if sys.stdin is not None else io.BytesIO())  # null: started without one


def _print(text: str) -> None:
    click.echo(text, nl=False)
    sys.stdout.flush()


def _print_whole(file: Path, reader: Reader, about: dict[str, JSON], *, as_json: bool, named: bool) -> None:
    """The whole text on one line. Raises `InputError`."""
    texts: list[str] = []

    def show(damage: str | None) -> None:
        text = join(texts)
        if as_json:
            echo_json({"text": text, **about, **_figures(reader, damage)})
        elif text or damage is None:
            click.echo(f"{about['file']}: {text}" if named else text)

    try:
        texts.extend(segment.text for segment in reader.read(_sound(file)))
    except InputError as error:
        if error.code == "file_damaged":
            show(error.code)
        raise
    show(None)


def _write(file: Path, reader: Reader, writers: Sequence[Writer], about: dict[str, JSON]) -> None:
    """Segment by segment. Raises `InputError`."""
    begun = False

    def begin() -> None:
        nonlocal begun
        if not begun:
            begun = True
            for writer in writers:
                writer.begin()

    def end(damage: str | None) -> None:
        begin()
        for writer in writers:
            writer.end({**about, **_figures(reader, damage)})

    try:
        for segment in reader.read(_sound(file)):
            begin()
            for writer in writers:
                writer.segment(segment)
    except InputError as error:
        if error.code == "file_damaged":
            end(error.code)
        raise
    end(None)


def _figures(reader: Reader, damage: str | None) -> dict[str, JSON]:
    figures: dict[str, JSON] = {"audio_s": round(reader.audio_s, 3), "decode_s": round(reader.decode_s, 4)}
    return figures if damage is None else figures | {"error": damage}


@contextlib.contextmanager
def _opened(folder: Path, stem: str, forms: Sequence[Format]) -> Iterator[list[Writer]]:
    """Writers of files in `folder` that take their places when all is written: also where the sound is damaged
    somewhere. What is interrupted leaves nothing. Raises `InputError` `file_unwritable`."""
    parts = {folder / f"{stem}.{form}": folder / f".{stem}.{form}.part" for form in forms}
    damaged: InputError | None = None
    try:
        with _unwritable(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with contextlib.ExitStack() as stack:
                files = [stack.enter_context(part.open("w", encoding="utf-8")) for part in parts.values()]
                try:
                    yield [make_writer(form, file.write) for form, file in zip(forms, files, strict=True)]
                except InputError as error:
                    if error.code != "file_damaged":
                        raise
                    damaged = error
            for target, part in parts.items():
                part.replace(target)
    finally:
        for part in parts.values():
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
    if damaged is not None:
        raise damaged


@contextlib.contextmanager
def _unwritable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"{folder} cannot be written to: {error.strerror}."
        raise InputError("file_unwritable", what, "Name a folder of your own, on a disk with room.") from error
