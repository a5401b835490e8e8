"""Seed-ASR as it answers: numbered packets, segments that become definite, and the errors of its page."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request

from agentbox.realtime.doubao_frames import Packet, Sort, pack, unpack
from tests.realtime.servers.base import VendorServer
from tests.realtime.servers.doubao import signed

WORDS = ("what is the weather?", "And in Bonn?")
PACKETS_A_SEGMENT = 2


class SeedASRServer(VendorServer):
    """`words`: what is understood of each two packets of sound."""

    path = "/api/v3/sauc/bigmodel"
    words: tuple[str, ...] = WORDS

    def is_welcome(self, request: Request) -> bool:
        # Here the app's key is its id.
        return signed(request, "app") and "sauc" in request.headers.get("X-Api-Resource-Id", "")

    async def session(self, client: ServerConnection) -> None:
        duration_ms = 0
        tell = _Told(client)
        for number in count(1):
            frame = await client.recv()
            packet = unpack(frame) if isinstance(frame, bytes) else None
            if packet is None:
                await tell.error(45000001, "cannot be read")
                return
            is_last = packet.is_last
            if packet.sequence != (-number if is_last else number):
                await tell.error(45000000, f"autoAssignedSequence ({number}) mismatch sequence in request")
                return
            if number == 1:
                problem = self.problem(packet)
                if problem:
                    await tell.error(45000001, problem)
                    return
                await tell.result({}, 0, is_last=False)
                continue
            self.sound += packet.payload
            duration_ms += len(packet.payload) // 32
            self.frames.append({"type": "sound", "bytes": len(packet.payload), "last": is_last})
            if is_last and not duration_ms:
                await tell.error(45000002, "Empty audio")
                return
            await tell.result(self.understood(number - 1, is_last=is_last), duration_ms, is_last=is_last)
            if is_last:
                await client.close()
                return

    def problem(self, packet: Packet) -> str:
        """What is wrong with the request."""
        request = json.loads(packet.payload)
        self.frames.append({"type": "request", **request})
        sound = {key: request["audio"].get(key) for key in ("format", "rate", "bits", "channel")}
        if sound != {"format": "pcm", "rate": 16_000, "bits": 16, "channel": 1}:
            return "unsupported audio"
        return "" if request["request"]["model_name"] == "bigmodel" else "unknown model_name"

    def understood(self, packets: int, *, is_last: bool) -> dict[str, Any]:
        segments: list[dict[str, Any]] = []
        for index, text in enumerate(self.words):
            heard = packets - index * PACKETS_A_SEGMENT
            if heard <= 0:
                break
            whole = heard > PACKETS_A_SEGMENT or is_last
            part = text if whole or heard == PACKETS_A_SEGMENT else text.rpartition(" ")[0]
            begin = index * PACKETS_A_SEGMENT * 200
            segments.append(
                {"text": part, "definite": whole, "start_time": begin, "end_time": begin + 400, "words": []}
            )
        return {"text": " ".join(segment["text"] for segment in segments), "utterances": segments}


class _Told:
    def __init__(self, client: ServerConnection) -> None:
        self.client = client
        self.sequence = 0

    async def result(self, result: dict[str, Any], duration_ms: int, *, is_last: bool) -> None:
        self.sequence += 1
        message = {
            "audio_info": {"duration": duration_ms},
            "result": {"text": "", **result, "additions": {"log_id": "20250506234111719BC62BBA7C4C0C635A"}},
        }
        sequence = -self.sequence if is_last else self.sequence
        packet = Packet(Sort.SERVER, json.dumps(message).encode(), sequence=sequence, is_last=is_last, is_gzip=True)
        await self.client.send(pack(packet))

    async def error(self, code: int, words: str) -> None:
        await self.client.send(pack(Packet(Sort.ERROR, json.dumps({"error": words}).encode(), code=code)))
        await self.client.close()
