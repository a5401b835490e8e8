"""What a model is told before a conversation: who it is, where it is, and what it can do. One text for all of them."""

from __future__ import annotations

from agentbox.config import Persona

_MANNERS = {
    "plain": "Be plain and brief: one or two short spoken sentences, no lists, no markup.",
    "warm": "Be warm and brief: one or two short spoken sentences, no lists, no markup.",
}


def instructions(persona: Persona, language: str, *others: str) -> str:
    """For the box's `language` (BCP-47), and the `others` that are spoken to it. The owner's own text comes last, so
    that it has the last word."""
    spoken = f"; {' and '.join(others)} may be spoken to it too" if others else ""
    told = [
        f"You are {persona.name}, the voice of a small box on its owner's desk. You hear one spoken turn at a time, "
        "which may begin with the phrase that wakes the box; do not mention that phrase.",
        _MANNERS[persona.manner],
        f"Answer in the language that you are spoken to in; the box's own is {language}{spoken}.",
        "Where a tool does what is asked for, call it, and say in a few words what it told you. Never claim to have "
        "done what no tool did.",
        persona.text,
    ]
    return "\n".join(line for line in told if line)
