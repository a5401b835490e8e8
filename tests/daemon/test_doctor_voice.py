"""What `agentbox doctor` says of the voice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agentbox.config import Asr, Backend, CloudConfig, Config, Speech
from agentbox.daemon.checks import _voice
from agentbox.tts import espeak


def test_without_espeak_only_english_has_a_voice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak, "PROGRAM", "espeak-that-is-nowhere")
    found = _voice(Config())
    assert (found.state, found.what) == ("ok", "en: hibari-heart; zh-CN: none [voice_missing]")
    found = _voice(Config(asr=Asr(language="zh")))
    assert (found.state, found.what.split(".")[0]) == ("warn", "zh-CN: none")
    assert "apt-get install espeak-ng" in found.todo


@pytest.mark.skipif(shutil.which(espeak.PROGRAM) is None, reason="espeak-ng is not installed")
def test_each_language_has_its_voice_and_a_plain_one_is_called_so() -> None:
    assert _voice(Config()).what == "en: hibari-heart; zh-CN: espeak-cmn (robotic)"
    assert _voice(Config(asr=Asr(language="zh"))).what == "zh-CN: espeak-cmn (robotic); en: hibari-heart"
    spoken = _voice(Config(speech=Speech(voice="espeak")))
    assert spoken.what == "en: espeak-en-us (robotic); zh-CN: espeak-cmn (robotic)"


def test_a_cloud_voice_is_named_where_it_may_be_used() -> None:
    backends = [Backend(name="alibaba", kind="cosyvoice"), Backend(name="openai", kind="openai")]
    there, away = (CloudConfig(policy=policy, backends=backends) for policy in ("local_first", "local_only"))
    assert _voice(Config(cloud=there)).what.endswith("; answers by alibaba (cosyvoice), where it can be had")
    assert "alibaba" not in _voice(Config(cloud=away)).what


def test_a_voice_of_the_owners_that_is_not_there(tmp_path: Path) -> None:
    found = _voice(Config(speech=Speech(voice="piper", piper_voice=str(tmp_path / "gone.onnx"))))
    assert (found.state, "voice_missing" in found.what, "gone.onnx" in found.what) == ("warn", True, True)


def test_a_box_that_never_speaks_needs_none(tmp_path: Path) -> None:
    speech = Speech(voice="piper", piper_voice=str(tmp_path / "gone.onnx"), verbosity="sounds")
    assert _voice(Config(speech=speech)).state == "ok"
