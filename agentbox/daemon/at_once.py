"""What of a changed configuration counts at once, and what from the next start on."""

from __future__ import annotations

import msgspec

from agentbox.config import Asr, Config

FIXED = ("audio", "storage", "control", "metrics", "log")
"""Sections that count from the next start on; all others count at once."""

AT_ONCE = {
    "audio": ("input_device", "output_device", "sounds"),
    "asr": ("hotwords", "hotwords_file", "second_model", "second_below", "second_within_s"),
}
"""Keys that count at once all the same, whatever becomes of their section."""


def counting(new: Config, now: Config, asr: Asr) -> tuple[Config, list[str]]:
    """The configuration that counts from now on, and the sections of `new` that wait for the next start.

    `now`: what counted until now. `asr`: this section from now on, which depends on what could be loaded.
    """
    kept = {name: getattr(now, name) for name in FIXED} | {"asr": asr}
    for section, names in AT_ONCE.items():
        changed = {name: getattr(getattr(new, section), name) for name in names}
        kept[section] = msgspec.structs.replace(kept[section], **changed)
    later = [name for name, section in kept.items() if getattr(new, name) != section]
    return msgspec.structs.replace(new, **kept), later
