"""An answer that fails on the way: the owner hears exactly one all the same, and nothing is done twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from agentbox.daemon.handover import Handover, Host
from agentbox.daemon.speaking import Speaking
from agentbox.daemon.streams import Narration, Stream
from agentbox.messages import Reply, ToolResult


async def rescue(
    turn: Handover,
    host: Host,
    speaking: Speaking | None,
    said: Stream | Narration | None,
    results: Sequence[ToolResult],
    local: Callable[[], Awaitable[None]],
) -> None:
    """Answer `turn`, of whose answer `said` was heard so far, and for which tools have done `results`.

    What a tool did is reported; of an answer more than half of which was heard, that it was cut off; in all other cases
    `local` answers.
    """
    if said is not None and said.ended.done():
        return  # the owner has gone on, and waits for nothing
    if said is not None and said.heard_ms > said.received_ms / 2:
        said.finish()
        await asyncio.wait([said.ended])
        text = host.phrase("cloud_cut_off")
        host.answer(Reply(utterance_id=turn.id, text=text, sound="failed", outcome="failed"))
        return
    if said is not None and speaking is not None:
        speaking.outdate()
    if results:
        text = " ".join(result.text for result in results if result.text)
        speak = "always" if turn.spoken else "never"
        host.answer(Reply(utterance_id=turn.id, text=text, sound="done", outcome="done", speak=speak))  # type: ignore[arg-type]
    else:
        await local()
