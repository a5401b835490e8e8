"""The microphone's own logic, with a driver that stands in for devices no test machine has: one that cannot do
16 kHz mono, and one that is faster than its reader."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from agentbox.audio.capture import Microphone
from agentbox.audio.devices import Device
from agentbox.config import Audio
from agentbox.errors import AudioError
from tests.audio.stand_in import Driver, stand_in

TIMES = SimpleNamespace(inputBufferAdcTime=0.0, currentTime=0.0)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    made = Driver(48_000, 2)
    device = Device(0, "USB", 2, 0, 48_000, True, False)
    stand_in(monkeypatch, "capture", made, lambda *_: device)
    return made


async def read(microphone: Microphone, blocks: int) -> list[Any]:
    got: list[Any] = []
    async for block in microphone.blocks():
        got.append(block)
        if len(got) == blocks:
            break
    return got


async def test_a_device_that_cannot_do_16_khz_mono_is_opened_as_it_can_and_converted(driver: Driver) -> None:
    microphone = Microphone(Audio())
    microphone.open()
    assert driver.tried == [(16_000, 1), (48_000, 1), (48_000, 2)]
    wave = (np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000) * 16_000).astype(np.int16)
    stereo = np.repeat(wave[:, None], 2, axis=1)
    for start in range(0, 48_000, 4_800):
        driver.callback(stereo[start : start + 4_800].tobytes(), 4_800, TIMES, None)
    sound = np.concatenate(await read(microphone, 10))
    assert sound.size == pytest.approx(16_000, abs=400)
    assert np.abs(sound).max() == pytest.approx(16_000, rel=0.03)
    spectrum = np.abs(np.fft.rfft(sound[1000:13_000]))
    assert np.argmax(spectrum) * 16_000 / 12_000 == pytest.approx(440, abs=2)
    assert await microphone.close()


async def test_sound_that_nobody_takes_in_time_is_counted_and_the_rest_stays_in_order(driver: Driver) -> None:
    driver.works_at = (16_000, 1)
    microphone = Microphone(Audio(queue_s=1.0, block_ms=100))
    microphone.open()
    for number in range(25):
        driver.callback(np.full(1600, number, dtype=np.int16).tobytes(), 1600, TIMES, None)
    assert microphone.lost_blocks == 15
    assert [int(block[0]) for block in await read(microphone, 10)] == list(range(10))


async def test_a_device_that_cannot_be_opened_at_all_has_its_code(driver: Driver) -> None:
    driver.works_at = (0, 0)
    with pytest.raises(AudioError) as caught:
        Microphone(Audio()).open()
    assert caught.value.code == "device_failed"


async def test_closing_ends_the_blocks(driver: Driver) -> None:
    driver.works_at = (16_000, 1)
    microphone = Microphone(Audio())
    microphone.open()
    reading = asyncio.create_task(read(microphone, 1))
    await asyncio.sleep(0)
    await microphone.close()
    assert await reading == []
