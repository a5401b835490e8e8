"""Anthropic Messages as they are streamed: content blocks, signed thoughts, pings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from tests.realtime.servers.http import KEY, MODEL, Call, Posted, RefusedError, Step, TextServer, words_of

THOUGHT = {"type": "thinking", "thinking": "The owner wants to know.", "signature": "c2lnbmVk"}


class AnthropicServer(TextServer):
    path = "/v1/messages"
    thinks = False
    """Each answer begins with a signed thought, and the next request of its turn must hold it."""

    def check(self, posted: Posted) -> Sequence[Any]:
        if f"Bearer {KEY}" != posted.headers.get("authorization") and posted.headers.get("x-api-key") != KEY:
            raise RefusedError(401, "authentication_error", "invalid x-api-key")
        if not posted.headers.get("anthropic-version"):
            raise RefusedError(400, "invalid_request_error", "anthropic-version: header is required")
        if posted.body["model"] != MODEL:
            raise RefusedError(404, "not_found_error", f"model: {posted.body['model']}")
        if "max_tokens" not in posted.body:
            raise RefusedError(400, "invalid_request_error", "max_tokens: Field required")
        return self._results(posted.body["messages"])

    def _results(self, messages: list[dict[str, Any]]) -> Sequence[Any]:
        results: list[Any] = []
        owed: list[str] = []
        role = "assistant"
        for message in messages:
            blocks = message["content"]
            blocks = [{"type": "text", "text": blocks}] if isinstance(blocks, str) else blocks
            if message["role"] == role or not blocks:
                raise RefusedError(400, "invalid_request_error", "messages: roles must alternate, and say something")
            role = message["role"]
            if any(block["type"] == "text" and not block["text"].strip() for block in blocks):
                raise RefusedError(400, "invalid_request_error", "messages: text content blocks must be non-empty")
            found = [block for block in blocks if block["type"] == "tool_result"]
            if [block["tool_use_id"] for block in found] != owed or blocks[: len(found)] != found:
                raise RefusedError(400, "invalid_request_error", "`tool_use` ids without `tool_result` blocks")
            owed = [block["id"] for block in blocks if block["type"] == "tool_use"]
            if self.thinks and owed and message is messages[-2] and blocks[0] != THOUGHT:
                raise RefusedError(400, "invalid_request_error", "a final assistant message must start with thinking")
            # Words after them begin a turn.
            results = [block["content"] for block in found] if len(found) == len(blocks) else []
        if role != "user":
            raise RefusedError(400, "invalid_request_error", "the conversation must end with a user message")
        return results

    def refusal(self, refused: RefusedError) -> dict[str, Any]:
        return {"type": "error", "error": {"type": refused.kind, "message": refused.words}, "request_id": "req_1"}

    def events(self, number: int, steps: Sequence[Step]) -> Iterable[bytes]:
        usage = {"input_tokens": 20, "output_tokens": 1}
        message = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": MODEL, "content": []}
        yield event("message_start", message={**message, "stop_reason": None, "stop_sequence": None, "usage": usage})
        yield event("ping")
        begin = int(self.thinks)
        if self.thinks:
            yield event("content_block_start", index=0, content_block=THOUGHT | {"thinking": "", "signature": ""})
            for kind, field in (("thinking_delta", "thinking"), ("signature_delta", "signature")):
                yield event("content_block_delta", index=0, delta={"type": kind, field: THOUGHT[field]})
            yield event("content_block_stop", index=0)
        for index, step in enumerate(steps, begin):
            yield from _block(index, step)
        if self.error_in_stream is not None:
            yield event("error", error=self.error_in_stream)
            return
        reason = "tool_use" if any(isinstance(step, Call) for step in steps) else "end_turn"
        yield event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage={"output_tokens": 9})
        yield event("message_stop")


def _block(index: int, step: Step) -> Iterable[bytes]:
    if isinstance(step, Call):
        block = {"type": "tool_use", "id": step.id, "name": step.name, "input": {}}
        yield event("content_block_start", index=index, content_block=block)
        written = json.dumps(step.arguments)
        for piece in ("", written[:3], written[3:]):
            yield event("content_block_delta", index=index, delta={"type": "input_json_delta", "partial_json": piece})
    else:
        yield event("content_block_start", index=index, content_block={"type": "text", "text": ""})
        for word in words_of(step):
            yield event("content_block_delta", index=index, delta={"type": "text_delta", "text": word})
    yield event("content_block_stop", index=index)


def event(kind: str, **fields: Any) -> bytes:
    data = json.dumps({"type": kind, **fields}, ensure_ascii=False)
    return f"event: {kind}\ndata: {data}\n\n".encode()
