"""Lists: shopping, to-do, and any other that the owner names."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from agentbox.errors import ToolError
from agentbox.messages import JSON, Undo
from agentbox.tools import names
from agentbox.tools.context import Outcome, ToolContext
from agentbox.tools.declaration import tool
from agentbox.tools.store import Store

SHOPPING = "shopping"
TODO = "todo"

MAX_ITEMS = 500
MAX_LISTS = 100

_ALIASES = {
    SHOPPING: ("", "shopping", "grocery", "groceries", "购物", "采购", "买东西"),
    TODO: ("todo", "todos", "to do", "to-do", "to dos", "task", "tasks", "待办", "待办事项", "任务"),
}
_ENDINGS = ("list", "清单", "列表", "单子", "单")

Text = Annotated[str, Meta(max_length=200)]


class Item(msgspec.Struct, kw_only=True):
    text: Text
    done: bool = False
    place: int | None = None
    """Where it stood, for `restore_items`."""


@tool(intents=["HassShoppingListAddItem", "HassListAddItem"])
async def add_item(context: ToolContext, item: Text = "", name: Text | None = None) -> Outcome:
    """Put an item on the shopping list, or on the list with that name, which is made when there is none."""
    key, list_name = _key(name), _list_name(context, name)
    text = item.strip()
    if not text:
        raise ToolError("list_no_item", "There is nothing to put on the list.", asks=True)
    items = _load(context, key) or []
    known = next((entry for entry in items if names.plain(entry.text) == names.plain(text)), None)
    if known is not None and not known.done:
        return Outcome(context.say("list_already", item=known.text, list=list_name), warns=True)
    if len(items) >= MAX_ITEMS or (not items and len(context.store.items()) >= MAX_LISTS):
        raise ToolError("list_full", "The list is full.", spoken=context.say("list_full", list=list_name))
    if known is not None:
        items.remove(known)
    _save(context, key, [*items, Item(text=text)])
    undo = Undo(tool="remove_item", arguments={"item": text, "name": name})
    return Outcome(context.say("list_added", item=text, list=list_name), undo=undo)


@tool(intents=["HassShoppingListCompleteItem", "HassListCompleteItem"], idempotent=True)
async def complete_item(context: ToolContext, item: Text, name: Text | None = None) -> Outcome:
    """Check an item off a list."""
    key, list_name = _key(name), _list_name(context, name)
    items, place = _find(context, key, list_name, item, pending_only=True)
    text = items[place].text
    items[place] = Item(text=text, done=True)
    _save(context, key, items)
    return Outcome(
        context.say("list_completed", item=text, list=list_name),
        undo=_restoring(name, [Item(text=text, place=place)]),
    )


@tool(intents=["HassListRemoveItem"])
async def remove_item(context: ToolContext, item: Text, name: Text | None = None) -> Outcome:
    """Take an item off a list."""
    key, list_name = _key(name), _list_name(context, name)
    items, place = _find(context, key, list_name, item, pending_only=False)
    removed = items.pop(place)
    _save(context, key, items)
    return Outcome(
        context.say("list_removed", item=removed.text, list=list_name),
        undo=_restoring(name, [Item(text=removed.text, done=removed.done, place=place)]),
    )


@tool(intents=["AgentboxReadList"], effects=False, idempotent=True)
async def read_list(context: ToolContext, name: Text | None = None) -> Outcome:
    """Read out what is on a list and not checked off."""
    key, list_name = _key(name), _list_name(context, name)
    items = _load(context, key)
    if items is None and key not in (SHOPPING, TODO):
        raise ToolError(
            "list_not_found", "There is no such list.", spoken=context.say("list_not_found", list=list_name)
        )
    data = [{"text": item.text, "done": item.done} for item in items or []]
    pending = [item.text for item in items or [] if not item.done]
    if not pending:
        return Outcome(context.say("list_empty", list=list_name), data=data)
    text = context.say("list_items", list=list_name, items=context.phrases.grammar.join(pending))
    return Outcome(text, data=data)


@tool(intents=["AgentboxClearList"], idempotent=True)
async def clear_list(context: ToolContext, name: Text | None = None) -> Outcome:
    """Empty a list."""
    key, list_name = _key(name), _list_name(context, name)
    items = _load(context, key)
    if not items:
        return Outcome(context.say("list_empty", list=list_name), warns=True)
    context.store.delete(key)
    kept = [Item(text=item.text, done=item.done, place=place) for place, item in enumerate(items)]
    return Outcome(context.say("list_cleared", list=list_name), undo=_restoring(name, kept))


@tool(intents=[], idempotent=True)
async def restore_items(context: ToolContext, items: list[Item], name: Text | None = None) -> Outcome:
    """Put items back where they stood on a list, as they were."""
    key, list_name = _key(name), _list_name(context, name)
    now = _load(context, key) or []
    for item in sorted(items, key=lambda item: MAX_ITEMS if item.place is None else item.place):
        now = [entry for entry in now if entry.text != item.text]
        now.insert(len(now) if item.place is None else item.place, Item(text=item.text, done=item.done))
    if len(now) > MAX_ITEMS:
        raise ToolError("list_full", "The list is full.", spoken=context.say("list_full", list=list_name))
    _save(context, key, now)
    return Outcome(context.say("list_restored", list=list_name))


def all_lists(store: Store) -> list[JSON]:
    """Every list for programs: the shopping list and the to-do list, be they empty, then the others by name."""
    kept = {SHOPPING: [], TODO: [], **store.items()}
    return [{"name": name, "items": kept[name]} for name in sorted(kept, key=_order)]


def _order(name: str) -> tuple[int, str]:
    return ((SHOPPING, TODO).index(name) if name in (SHOPPING, TODO) else 2, name)


def _key(name: str | None) -> str:
    """The key of a list by the name that was said: without article and ending ("the shopping list" -> shopping)."""
    key = names.plain(name or "")
    for ending in _ENDINGS:
        if key.endswith(ending):
            key = key.removesuffix(ending).strip()
            break
    return next((known for known, aliases in _ALIASES.items() if key in aliases), key)


def _list_name(context: ToolContext, name: str | None) -> str:
    key = _key(name)
    if key in (SHOPPING, TODO):
        return context.phrases.part(f"list_{key}")
    return context.phrases.part("list_named", name=key)


def _load(context: ToolContext, key: str) -> list[Item] | None:
    kept = context.store.get(key)
    return None if kept is None else msgspec.convert(kept, list[Item])


def _save(context: ToolContext, key: str, items: list[Item]) -> None:
    context.store.put(key, [{"text": item.text, "done": item.done} for item in items])


def _find(context: ToolContext, key: str, list_name: str, item: str, *, pending_only: bool) -> tuple[list[Item], int]:
    """The list and the place of the item that is meant on it; one that is still to do goes before one that is done.

    Raises `ToolError`: `list_not_found`, `item_not_found`.
    """
    items = _load(context, key)
    if items is None and key not in (SHOPPING, TODO):
        raise ToolError(
            "list_not_found", "There is no such list.", spoken=context.say("list_not_found", list=list_name)
        )
    items = items or []
    for done in (False,) if pending_only else (False, True):
        places = [place for place, entry in enumerate(items) if entry.done == done]
        found = names.matching(item, [items[place].text for place in places])
        if found:
            return items, places[found[0]]
    spoken = context.say("item_not_found", item=item.strip(), list=list_name)
    raise ToolError("item_not_found", "There is no such item on the list.", spoken=spoken)


def _restoring(name: str | None, items: list[Item]) -> Undo:
    return Undo(tool="restore_items", arguments={"name": name, "items": msgspec.to_builtins(items)})
