"""Where sentences come from that are not the owner's: the community's package and our own files."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

import home_assistant_intents

from agentbox import package_yaml
from agentbox.intents.grammar import BUILTIN, OURS, Grammar
from agentbox.messages import JSON

_LISTS_WE_LACK = ("area", "floor", "timer_command")
"""Lists of the community's sentences for what the box does not do: it stands in one place, and it does not keep a
command to carry it out later ("in five minutes switch the light off" is a template with a wildcard for the command,
which would also take "I will be back in five minutes")."""

_NAMED_LIST = re.compile(r"\{([^:}]+)(?::[^}]*)?\}")


def builtin(language: str, intents: Collection[str], slot_values: Mapping[str, Sequence[str]]) -> Grammar | None:
    """The community's sentences (package home-assistant-intents) in the nearest language, for `intents` alone.

    Left out are templates for what the box does not do, and templates that begin with a wildcard: "{timer_name} timer
    status" would take any talk that happens to end in these words. None when no language is near.
    """
    nearest = nearest_language(language, home_assistant_intents.get_languages())
    values = home_assistant_intents.get_intents(nearest) if nearest else None
    if values is None:
        return None
    lists = values.get("lists", {})
    wild = {name for name, definition in lists.items() if definition.get("wildcard")}
    lacking = {name for name in _LISTS_WE_LACK if not slot_values.get(name)}
    kept = {}
    for name, intent in values["intents"].items():
        if name in intents:
            blocks = [
                {**block, "sentences": _usable(block["sentences"], lacking, wild)}
                for block in intent["data"]
                if _may_hold(block.get("requires_context", {}))
            ]
            kept[name] = {"data": [block for block in blocks if block["sentences"]]}
    values = {key: value for key, value in values.items() if key != "responses"}
    return Grammar(BUILTIN, {**values, "intents": kept}, slot_values)


def _may_hold(requires_context: Mapping[str, JSON]) -> bool:
    """Whether this can ever be: the only names the box knows are its lists', and it stands in no area."""
    return all(key == "domain" and "todo" in domains for key, domains in requires_context.items())


def _usable(sentences: list[str], lacking: set[str], wild: set[str]) -> list[str]:
    usable = []
    for sentence in sentences:
        named = _NAMED_LIST.findall(sentence)
        begins_wild = bool(named) and named[0] in wild and sentence.lstrip("([").startswith("{")
        if not begins_wild and lacking.isdisjoint(named):
            usable.append(sentence)
    return usable


def ours(
    values: Mapping[str, JSON] | None, intents: Collection[str], slot_values: Mapping[str, Sequence[str]]
) -> Grammar | None:
    """Our own sentences (`our_values`), for `intents` alone. None when no language is near."""
    if values is None:
        return None
    kept = {name: intent for name, intent in values["intents"].items() if name in intents}
    values = {key: value for key, value in values.items() if key != "examples"}
    return Grammar(OURS, {**values, "intents": kept}, slot_values, per_sentence=True)


def our_examples(values: Mapping[str, JSON] | None) -> dict[str, str]:
    """Intent -> a sentence of ours (`our_values`), where one was written down."""
    examples: dict[str, str] = (values or {}).get("examples", {})
    return examples


def our_values(language: str) -> dict[str, JSON] | None:
    """The file of our own sentences in the nearest language, as plain data. Takes a while: read it once."""
    folder = importlib.resources.files(__package__) / "sentences"
    files = {file.name.removesuffix(".yaml"): file for file in folder.iterdir() if file.name.endswith(".yaml")}
    nearest = nearest_language(language, files)
    if nearest is None:
        return None
    values: dict[str, JSON] = package_yaml.read(files[nearest])
    return values


def nearest_language(tag: str, available: Iterable[str]) -> str | None:
    """The one of `available` BCP-47 tags nearest to `tag`: the same, the bare language, or a region of it.

    `zh` and `zh-Hans` mean `zh-CN`, `zh-Hant` means `zh-TW`.
    """
    usual = {"zh": "zh-cn", "zh-hans": "zh-cn", "zh-sg": "zh-cn", "zh-hant": "zh-tw", "zh-mo": "zh-hk"}
    folded = {name.lower(): name for name in sorted(available)}
    wanted = tag.lower()
    wanted = usual.get(wanted, wanted)
    bare = wanted.split("-")[0]
    for candidate in (wanted, wanted.rsplit("-", 1)[0], bare, usual.get(bare, bare)):
        if candidate in folded:
            return folded[candidate]
    return next((name for low, name in folded.items() if low.startswith(bare + "-")), None)
