"""Volume and mute, on the mixer of a real sound server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentbox import config
from agentbox.tools import mixer
from agentbox.tools.mixer import Level, find_mixer
from tests import pulse

from .box import a_box

ALSA_ON_PULSE = """
</usr/share/alsa/alsa.conf>
ctl.!default { type pulse }
pcm.!default { type pulse }
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pulse.Pulse]:
    with pulse.running(tmp_path_factory.mktemp("pulse")) as running:
        yield running


@pytest.fixture
def sink(server: pulse.Pulse, monkeypatch: pytest.MonkeyPatch) -> pulse.Pulse:
    """The server is the machine's sound server, at 40 percent."""
    for name, value in server.environ.items():
        monkeypatch.setenv(name, value)
    server.pactl("set-sink-mute", "spk", "0")
    server.pactl("set-sink-volume", "spk", "40%")
    return server


def volume(server: pulse.Pulse) -> str:
    """What the server itself says: `40%`, or `40% muted`."""
    percent = next(word for word in server.pactl("get-sink-volume", "spk").split() if word.endswith("%"))
    return percent + (" muted" if "yes" in server.pactl("get-sink-mute", "spk") else "")


async def test_set_and_take_back(sink: pulse.Pulse) -> None:
    async with a_box() as box:
        assert (await box.call("set_volume", volume_level=55)).text == "Volume at 55 percent."
        assert volume(sink) == "55%"
        await box.undo()
        assert volume(sink) == "40%"
        assert (await box.call("get_volume")).data == {"percent": 40, "muted": False}


@pytest.mark.parametrize(
    ("step", "expected"), [("up", "50%"), ("down", "30%"), (25, "65%"), (-25, "15%"), (-80, "0%"), (100, "100%")]
)
async def test_louder_and_quieter(sink: pulse.Pulse, step: str | int, expected: str) -> None:
    async with a_box() as box:
        assert (await box.call("change_volume", volume_step=step)).ok
        assert volume(sink) == expected


async def test_the_owners_step(sink: pulse.Pulse) -> None:
    async with a_box(config.Tools(options={"volume": {"step": 3}})) as box:
        await box.call("change_volume", volume_step="up")
        assert volume(sink) == "43%"


async def test_mute_and_unmute(sink: pulse.Pulse) -> None:
    async with a_box() as box:
        assert (await box.call("mute")).text == "Sound off."
        assert volume(sink) == "40% muted"
        assert (await box.call("get_volume")).text == "The sound is off; the volume is at 40 percent."
        await box.call("change_volume", volume_step="down")
        assert volume(sink) == "30% muted"
        assert (await box.call("unmute")).text == "Sound on, 30 percent."
        assert volume(sink) == "30%"
        await box.call("mute")
        await box.call("set_volume", volume_level=20)
        assert volume(sink) == "20%"


@pytest.mark.parametrize("level", [-1, 101, "loud"])
async def test_a_volume_that_is_none(level: int | str) -> None:
    async with a_box() as box:
        assert (await box.call("set_volume", volume_level=level)).error_code == "tool_bad_arguments"


async def test_by_alsa_alone(sink: pulse.Pulse, monkeypatch: pytest.MonkeyPatch) -> None:
    plugins = list(Path("/usr/lib").glob("*/alsa-lib/libasound_module_ctl_pulse.so"))
    if shutil.which("amixer") is None or not plugins:
        pytest.skip("alsa-utils or libasound2-plugins is not installed")
    (sink.folder / "asound.conf").write_text(ALSA_ON_PULSE)
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(sink.folder / "asound.conf"))
    monkeypatch.setattr(mixer, "pactl", lambda: mixer.wpctl())  # which is not installed, or has no server
    found = await find_mixer()
    assert found.program == "amixer"
    assert await found.read() == Level(40, False)
    await found.set_percent(70)
    await found.set_muted(True)
    assert volume(sink) == "70% muted"
    assert await found.read() == Level(70, True)


async def test_a_machine_without_a_mixer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    async with a_box() as box:
        result = await box.call("set_volume", volume_level=50)
        assert (result.error_code, result.text) == ("mixer_missing", "I find no mixer on this machine.")


@pytest.mark.parametrize(
    ("way", "printed", "level"),
    [
        (mixer.wpctl(), "Volume: 0.40\n", Level(40, False)),
        (mixer.wpctl(), "Volume: 1.25 [MUTED]\n", Level(125, True)),
        (
            mixer.amixer("PCM"),
            "Simple mixer control 'PCM',0\n  Limits: Playback -10239 - 400\n  Mono: Playback -1725 [80%] [on]\n",
            Level(80, False),
        ),
        (mixer.amixer("Master"), "  Front Left: Playback 0 [0%] [off]\n", Level(0, True)),
    ],
)
def test_what_the_programs_print_is_read(way: mixer.Mixer, printed: str, level: Level) -> None:
    assert way.level(printed) == level
