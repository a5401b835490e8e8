from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from agentbox.asr.catalogue import Catalogue, Hub, Model, Problem, Url, Wheel, check, sha256_of
from agentbox.errors import ModelError
from agentbox.languages import covers


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load()


def test_every_entry_can_be_pulled_and_says_what_it_is(catalogue: Catalogue) -> None:
    assert "moonshine-tiny-en" in catalogue.models
    for name, model in catalogue.models.items():
        assert model.name == name
        assert model.about
        assert model.licence
        assert model.kind == "vad" or model.languages
        for file in model.files.values():
            # A hash that nobody could check needs a source that publishes one.
            assert file.sha256 is not None or all(isinstance(source, Hub) for source in model.sources)


def test_what_is_shipped_by_default_has_hashes_and_free_licences(catalogue: Catalogue) -> None:
    for name in ("moonshine-tiny-en", "silero-vad-16k"):
        model = catalogue.get(name)
        assert isinstance(model.sources[0], Wheel)
        assert model.licence == "MIT"
        assert all(file.sha256 for file in model.files.values())
    assert catalogue.get("moonshine-tiny-en").bytes == 43_943_830


def test_an_unknown_name_gets_a_hint(catalogue: Catalogue) -> None:
    with pytest.raises(ModelError) as unknown:
        catalogue.get("moonshine-tiny-eng")
    assert unknown.value.code == "model_unknown"
    assert "moonshine-tiny-en?" in unknown.value.todo


@pytest.mark.parametrize(
    ("tag", "language", "covered"),
    [("en", "en-GB", True), ("en", "EN", True), ("zh", "zh-CN", True), ("zh-CN", "zh-TW", False), ("en", "enm", False)],
)
def test_which_languages_a_tag_covers(tag: str, language: str, covered: bool) -> None:
    assert covers(tag, language) is covered


def test_models_of_many_languages_have_them_all(catalogue: Catalogue) -> None:
    assert [len(catalogue.get(f"whisper-{size}").languages) for size in ("base", "small")] == [99, 99]


def test_who_speaks_a_language(catalogue: Catalogue) -> None:
    nano = ["sense-voice-small", "fun-asr-nano-ctc"]
    many = ["whisper-base", "whisper-small"]
    assert catalogue.speaking("en-US") == [
        "moonshine-tiny-en",
        "moonshine-base-en",
        "moonshine-streaming-tiny-en",
        "moonshine-streaming-small-en",
        *nano,
        "fun-asr-nano",
        *many,
    ]
    assert catalogue.speaking("zh-CN") == ["moonshine-base-zh", *nano, "paraformer-zh", "fun-asr-nano", *many]
    assert catalogue.speaking("yue-HK") == ["sense-voice-small"]
    assert catalogue.speaking("nb") == []
    assert catalogue.speaking("no") == many  # which YAML would read as false
    assert catalogue.speaking("tlh") == []


@pytest.mark.parametrize(
    "change",
    [
        {"files": {"../escape": {"bytes": 1, "sha256": None}}},
        {"files": {"a/..": {"bytes": 1, "sha256": None}}},
        {"files": {"a/../b": {"bytes": 1, "sha256": None}}},
        {"files": {"/a": {"bytes": 1, "sha256": None}}},
        {"files": {"a": {"bytes": 0, "sha256": None}}},
        {"files": {"a": {"bytes": 1, "sha256": "abc"}}},
        {"sources": [{"kind": "wheel", "package": "--index-url=http://x", "folder": "a"}]},
        {"sources": [{"kind": "url", "url": "file:///etc/passwd"}]},
        {"sources": []},
        {"name": "../x"},
        {"colour": "red"},
    ],
)
def test_an_entry_that_makes_no_sense_is_refused(catalogue: Catalogue, change: dict[str, object]) -> None:
    entry = msgspec.to_builtins(catalogue.get("moonshine-tiny-en"))
    assert msgspec.convert(entry, Model) == catalogue.get("moonshine-tiny-en")
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**entry, **change}, Model)


def test_another_catalogue_can_be_read(tmp_path: Path, catalogue: Catalogue) -> None:
    entry = msgspec.to_builtins(catalogue.get("silero-vad-16k"))
    del entry["name"]
    path = tmp_path / "own.yaml"
    path.write_bytes(msgspec.yaml.encode({"own-vad": entry}))
    assert list(Catalogue.load(path).models) == ["own-vad"]


def test_what_is_wrong_with_files(tmp_path: Path) -> None:
    def entry(content: bytes) -> dict[str, object]:
        path = tmp_path / "content"
        path.write_bytes(content)
        return {"bytes": len(content), "sha256": sha256_of(path)}

    model = msgspec.convert(
        {
            "name": "small",
            "kind": "vad",
            "family": "silero",
            "about": "-",
            "languages": [],
            "licence": "-",
            "files": {"a": entry(b"aaa"), "b": entry(b"bbb"), "c": entry(b"ccc"), "d": entry(b"ddd")},
            "sources": [{"kind": "url", "url": "http://127.0.0.1/"}],
        },
        Model,
    )
    assert isinstance(model.sources[0], Url)
    folder = tmp_path / "small"
    assert [problem.what for problem in check(model, folder)] == ["missing"] * 4
    folder.mkdir()
    (folder / "a").write_bytes(b"aaa")
    (folder / "b").write_bytes(b"bbbb")
    (folder / "c").write_bytes(b"cbc")
    (folder / "d").mkdir()
    assert check(model, folder)[:2] == [Problem(file="b", what="wrong_size"), Problem(file="c", what="wrong_hash")]
    assert check(model, folder)[2].file == "d"
