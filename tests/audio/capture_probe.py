"""Run by test_capture in a process of its own, since PortAudio reads its environment when it starts: records from the
microphone until the standard input ends, and prints what it was as JSON."""

from __future__ import annotations

import asyncio
import json
import sys

import numpy as np

from agentbox.audio.capture import Microphone
from agentbox.config import Audio
from agentbox.errors import AudioError


async def record(path: str, device: str) -> dict[str, object]:
    microphone = Microphone(Audio(input_device=device))
    microphone.open()
    blocks = []
    over = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    code = ""
    print("open", flush=True)
    try:
        async for block in microphone.blocks():
            blocks.append(block)
            if len(blocks) == 1:
                print("hearing", flush=True)
            if over.done():
                break
    except AudioError as error:
        code = error.code
    closed = await microphone.close()
    np.save(path, np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.int16))
    return {
        "code": code,
        "closed": closed,
        "lost": microphone.lost_blocks,
        "device": microphone.device and microphone.device.name,
    }


if __name__ == "__main__":
    try:
        print(json.dumps(asyncio.run(record(sys.argv[1], sys.argv[2]))), flush=True)
    except AudioError as error:
        print(json.dumps({"code": error.code}), flush=True)
