"""An answer that fails on the way: the owner hears exactly one all the same, and nothing is done twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from agentbox.daemon.deeds import Deeds
from agentbox.daemon.handover import Handover, Host
from agentbox.daemon.speaking import Speaking
from agentbox.daemon.streams import Narration, Stream
from agentbox.messages import Reply

ENOUGH_MS = 3000
"""Less than this was no answer, however much of what had come was heard: most services send sound as it is spoken."""


async def heard_out(said: Stream | Narration | None) -> bool:
    """Whether most of an answer that failed was heard, so that there is no sense in another: then the rest of it is
    let out. Not to be waited for within a turn: "stop" must be heard meanwhile."""
    if said is None or said.ended.done() or said.heard_ms <= max(ENOUGH_MS, said.received_ms / 2):
        return False
    said.finish()
    await asyncio.wait([said.ended])
    return said.ended.result()


async def rescue(
    turn: Handover,
    host: Host,
    speaking: Speaking | None,
    said: Stream | Narration | None,
    deeds: Deeds,
    local: Callable[[], Awaitable[None]],
    *,
    cut_off: bool = False,
) -> None:
    """Answer `turn`, of whose answer `said` was heard so far.

    What a tool did is reported; of an answer most of which was heard (`cut_off`), that it was cut off; in all other
    cases `local` answers.
    """
    if cut_off:
        text = host.phrase("cloud_cut_off")
        host.answer(Reply(utterance_id=turn.id, text=text, sound="failed", outcome="failed"))
        return
    if said is not None and said.ended.done():
        return  # the owner has gone on, and waits for nothing
    if said is not None and speaking is not None:
        speaking.outdate()
        said.finish()
    if deeds.results:
        host.answer(deeds.report())
    else:
        await local()
