"""Shopping list, to-do list, and any other."""

from __future__ import annotations

from typing import Any

import pytest

from agentbox.tools.store import Store

from .box import Box, a_box


async def said(box: Box, tool: str, **arguments: Any) -> str:
    result = await box.call(tool, **arguments)
    assert result.ok, result
    return result.text


async def test_the_shopping_list() -> None:
    stores: dict[str, Store] = {}
    async with a_box(stores=stores) as box:
        assert await said(box, "read_list") == "Your shopping list is empty."
        assert await said(box, "add_item", item="milk") == "Added milk to your shopping list."
        assert await said(box, "add_item", item="brown bread") == "Added brown bread to your shopping list."
        assert await said(box, "add_item", item="Milk ") == "Milk is already on your shopping list."
    async with a_box(stores=stores) as box:  # it is kept
        assert await said(box, "read_list") == "On your shopping list: milk and brown bread."
        assert await said(box, "complete_item", item="the milk") == "Checked milk off your shopping list."
        result = await box.call("read_list")
        assert result.text == "On your shopping list: brown bread."
        assert result.data == [{"text": "milk", "done": True}, {"text": "brown bread", "done": False}]
        assert await said(box, "add_item", item="milk") == "Added milk to your shopping list."
        assert await said(box, "read_list") == "On your shopping list: brown bread and milk."


@pytest.mark.parametrize(
    ("name", "called"),
    [
        (None, "shopping list"),
        ("my shopping list", "shopping list"),
        ("Groceries", "shopping list"),
        ("购物清单", "shopping list"),
        ("to do", "to-do list"),
        ("待办事项", "to-do list"),
        ("the Packing List", "packing list"),
    ],
)
async def test_a_list_by_any_of_its_names(name: str | None, called: str) -> None:
    async with a_box() as box:
        assert await said(box, "add_item", item="socks", name=name) == f"Added socks to your {called}."
        assert await said(box, "read_list", name=called) == f"On your {called}: socks."


async def test_an_item_heard_a_little_wrong_is_found_and_another_is_not() -> None:
    async with a_box() as box:
        for item in ("oranges", "orange juice", "rice"):
            await said(box, "add_item", item=item)
        assert await said(box, "remove_item", item="orange") == "Removed oranges from your shopping list."
        result = await box.call("remove_item", item="ice cream")
        assert (result.error_code, result.text) == ("item_not_found", "I find no ice cream on your shopping list.")


async def test_what_is_still_to_do_goes_before_what_is_done() -> None:
    async with a_box() as box:
        await said(box, "add_item", item="egg")
        await said(box, "complete_item", item="egg")
        await said(box, "add_item", item="eggs")
        assert await said(box, "complete_item", item="egg") == "Checked eggs off your shopping list."
        assert (await box.call("complete_item", item="egg")).error_code == "item_not_found"


@pytest.mark.parametrize(
    ("tool", "item"), [("complete_item", "b"), ("remove_item", "b"), ("remove_item", "a"), ("add_item", "d")]
)
async def test_every_change_can_be_taken_back(tool: str, item: str) -> None:
    async with a_box() as box:
        for letter in "abc":
            await said(box, "add_item", item=letter, name="letters")
        await said(box, "complete_item", item="a", name="letters")
        before = (await box.call("read_list", name="letters")).data
        result = await box.call(tool, item=item, name="letters")
        assert (await box.call("read_list", name="letters")).data != before
        assert result.undo is not None
        await said(box, result.undo.tool, **result.undo.arguments)
        assert (await box.call("read_list", name="letters")).data == before


async def test_a_cleared_list_comes_back_in_order() -> None:
    async with a_box() as box:
        for item in "abc":
            await said(box, "add_item", item=item)
        await said(box, "complete_item", item="b")
        before = (await box.call("read_list")).data
        assert await said(box, "clear_list") == "Your shopping list is cleared."
        assert await said(box, "undo") == "All right, your shopping list is as it was."
        assert (await box.call("read_list")).data == before
        assert await said(box, "clear_list", name="to do") == "Your to-do list is empty."


async def test_limits_and_rubbish() -> None:
    async with a_box() as box:
        assert (await box.call("read_list", name="packing")).error_code == "list_not_found"
        assert (await box.call("remove_item", item="x", name="packing")).error_code == "list_not_found"
        assert (await box.call("add_item", item=" ")).error_code == "list_no_item"
        assert (await box.call("add_item", item="x" * 201)).error_code == "tool_bad_arguments"
        for number in range(500):
            await said(box, "add_item", item=f"thing {number}")
        assert (await box.call("add_item", item="one more")).error_code == "list_full"


async def test_in_chinese() -> None:
    async with a_box(language="zh-CN") as box:
        assert await said(box, "add_item", item="牛奶") == "已把牛奶加到购物清单。"
        assert await said(box, "add_item", item="鸡蛋") == "已把鸡蛋加到购物清单。"
        assert await said(box, "read_list", name="购物") == "购物清单上有牛奶和鸡蛋。"
        assert await said(box, "complete_item", item="牛奶") == "购物清单上的牛奶已完成。"
