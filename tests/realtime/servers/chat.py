"""Chat completions as OpenAI streams them: fragments of calls by index, a last chunk with the usage."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from tests.realtime.servers.http import KEY, MODEL, Call, Posted, RefusedError, Step, TextServer, words_of

USAGE = {"prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27}


class ChatServer(TextServer):
    path = "/v1/chat/completions"

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def check(self, posted: Posted) -> Sequence[Any]:
        if posted.headers.get("authorization") != f"Bearer {KEY}":
            raise RefusedError(
                401, "invalid_request_error", f"Incorrect API key provided: {KEY[:3]}", "invalid_api_key"
            )
        if posted.body["model"] != MODEL:
            raise RefusedError(404, "invalid_request_error", "The model does not exist", "model_not_found")
        results: list[Any] = []
        owed: list[str] = []
        for message in posted.body["messages"]:
            if message["role"] == "tool":
                if message["tool_call_id"] not in owed:
                    raise RefusedError(400, "invalid_request_error", "messages with role 'tool' must follow tool_calls")
                owed.remove(message["tool_call_id"])
                results.append(message["content"])
                continue
            if owed:
                raise RefusedError(400, "invalid_request_error", f"tool_call_ids without response: {owed}")
            owed = [call["id"] for call in message.get("tool_calls", [])]
            for call in message.get("tool_calls", []):
                json.loads(call["function"]["arguments"])
            if message["role"] == "user":
                results = []
        if owed:
            raise RefusedError(400, "invalid_request_error", f"tool_call_ids without response: {owed}")
        return results

    def refusal(self, refused: RefusedError) -> dict[str, Any]:
        return {"error": {"message": refused.words, "type": refused.kind, "param": None, "code": refused.code}}

    def events(self, number: int, steps: Sequence[Step]) -> Iterable[bytes]:
        yield chunk(number, {"role": "assistant", "content": ""})
        calls = 0
        for step in steps:
            if isinstance(step, Call):
                written = json.dumps(step.arguments)
                function = {"name": step.name, "arguments": ""}
                yield chunk(
                    number, {"tool_calls": [{"index": calls, "id": step.id, "type": "function", "function": function}]}
                )
                for piece in (written[: len(written) // 2], written[len(written) // 2 :]):
                    yield chunk(number, {"tool_calls": [{"index": calls, "function": {"arguments": piece}}]})
                calls += 1
            else:
                for word in words_of(step):
                    yield chunk(number, {"content": word})
        if self.error_in_stream is not None:
            yield b"data: " + json.dumps({"error": self.error_in_stream}).encode() + b"\n\n"
            return
        yield chunk(number, {}, "tool_calls" if calls else "stop")
        last = {"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
        yield b"data: " + json.dumps({**last, "choices": [], "usage": USAGE}).encode() + b"\n\n"
        yield b"data: [DONE]\n\n"


def chunk(number: int, delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
    message = {"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    return b"data: " + json.dumps({**message, "choices": [choice]}, ensure_ascii=False).encode() + b"\n\n"
