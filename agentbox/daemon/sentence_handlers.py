"""What can be asked about sentences: what one means, and the owner's files of them, looked at, checked and saved."""

from __future__ import annotations

import asyncio
from typing import Any

from agentbox.control.server import Handler
from agentbox.daemon import sentence_files
from agentbox.daemon.activation import Opened
from agentbox.daemon.core import Core
from agentbox.daemon.handlers import Daemon
from agentbox.daemon.params import Params, want
from agentbox.daemon.sentence_files import SentenceFile
from agentbox.errors import InputError
from agentbox.intents.check.files import Finding
from agentbox.messages import JSON, Caller


class SentenceHandlers:
    """`table()` is the methods by name. `daemon` is null where none runs; `caller`: as whom tools would be called."""

    def __init__(self, core: Core, daemon: Daemon | None = None, caller: Caller = "cli") -> None:
        self._core = core
        self._daemon = daemon
        self._caller: Caller = caller

    def table(self) -> dict[str, Handler]:
        return {
            "understand": self.understand,
            "sentences.files": self.files,
            "sentences.read": self.read,
            "sentences.check": self.check,
            "sentences.save": self.save,
        }

    async def understand(self, params: Params) -> JSON:
        """`{"text"}` -> what it would be understood as; nothing is done."""
        text = want(params, "text", str)
        talk = self._core.attention.talk
        opened = self._core.activation.decide(text, "control")
        command = opened.command if opened is not None and opened.command else text
        decision = self._core.attention.understand(None, Opened("control", command), "")
        intent = decision.intent
        tool = talk.mind.runner.registry.for_intent(intent.name) if intent is not None else None
        return {
            "text": text,
            "intent": intent.name if intent else None,
            "slots": intent.slots if intent else {},
            "confidence": round(intent.score, 3) if intent else 0.0,
            "match": intent.match if intent else None,
            "source": intent.source if intent else None,
            "sentence": intent.sentence if intent else None,
            "tool": tool.name if tool else None,
            "policy": talk.mind.runner.policies.decide(tool, self._caller) if tool else None,
        }

    async def files(self, _: Params) -> JSON:
        """The owner's files, in the order in which they are read."""
        found = await asyncio.to_thread(sentence_files.files, self._core.config)
        return [_public(file) for file in found]

    async def read(self, params: Params) -> JSON:
        """`{"file"}` -> its text, and the version that it is."""
        file = self._file(params)
        text = await asyncio.to_thread(sentence_files.read, file)
        return {**_public(file), "text": text, "version": sentence_files.version(text)}

    async def check(self, params: Params) -> JSON:
        """`{"file", "text"}` -> what would be wrong with it."""
        return [_told(one) for one in await self._findings(self._file(params), want(params, "text", str))]

    async def save(self, params: Params) -> JSON:
        """`{"file", "text", "version"}` -> the new version, and what is worth knowing of it."""
        file, text, before = self._file(params), want(params, "text", str), want(params, "version", str)
        if not file.is_writable:
            raise InputError(
                "sentences_unwritable",
                f"{file.id} cannot be written by the box.",
                "Edit it on the box, or write into the page's own file.",
            )
        found = await self._findings(file, text)
        if wrong := sum(one.notice.level == "error" for one in found):
            raise InputError(
                "sentences_wrong", f"{file.id} was not saved: mistakes in it: {wrong}.", "sentences.check tells them."
            )
        async with self._core.turn_lock:  # one at a time, whoever asks
            await asyncio.to_thread(sentence_files.write, file, text, before)
        if self._daemon is not None:
            await self._daemon.reload()
        return {"version": sentence_files.version(text), "findings": [_told(one) for one in found]}

    def _file(self, params: Params) -> SentenceFile:
        return sentence_files.find(self._core.config, want(params, "file", str))

    async def _findings(self, file: SentenceFile, text: str) -> list[Finding]:
        if len(text.encode()) > sentence_files.MOST_BYTES:
            raise InputError("sentences_too_long", f"{file.id} would be too long.", "Make two files of it.")
        registry = self._core.attention.talk.mind.runner.registry
        return await asyncio.to_thread(sentence_files.findings_in, self._core.config, registry, file, text)


def _public(file: SentenceFile) -> dict[str, Any]:
    return {"id": file.id, "path": str(file.path), "page": file.is_page, "writable": file.is_writable}


def _told(finding: Finding) -> dict[str, Any]:
    notice = finding.notice
    place = {"file": finding.file.name, "line": finding.line}
    return place | {"code": notice.code, "level": notice.level, "what": notice.what, "todo": notice.todo}
