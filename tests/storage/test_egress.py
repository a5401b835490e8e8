"""What left the box is kept in any case, and goes by its age alone."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from agentbox.messages import Egress, StageEvent
from agentbox.storage.journal import Journal
from tests.storage.conftest import Box
from tests.storage.talk import NOW

DAY_S = 86_400.0


def leave(journal: Journal, at: float = NOW, ended: bool = True, **fields: object) -> None:
    egress = Egress(id=f"e{at}", backend="first", model="m", reason="turn")
    for state, message in (("started", egress), ("ended", msgspec.structs.replace(egress, outcome="ok", **fields))):
        if state == "started" or ended:
            journal.record(StageEvent(stage="egress", state=state, at=at, monotonic_s=0.0, message=message))
    assert journal.settle()


def test_a_row_is_there_before_anything_left_and_tells_what_it_came_to(box: Box) -> None:
    journal = box.open()
    leave(journal, ended=False)
    [row] = journal.egress()
    assert (row["outcome"], row["bytes_out"], row["started_at"]) == ("", 0, NOW)
    leave(journal, bytes_out=12, seconds_out=1.5, units={"tokens": 3.0}, price=0.25)
    [row] = journal.egress()
    assert (row["outcome"], row["bytes_out"], row["seconds_out"]) == ("ok", 12, 1.5)
    assert (row["units"], row["price"]) == ({"tokens": 3.0}, 0.25)


def test_it_is_kept_where_no_transcripts_are(box: Box) -> None:
    journal = box.open(keep_transcripts=False)
    leave(journal)
    assert len(journal.egress()) == 1


@pytest.mark.parametrize(
    "delete", [lambda journal, turn: journal.delete([turn]), lambda journal, _: journal.delete_all()]
)
def test_it_outlives_its_turn_and_forgets_which_one_that_was(
    box: Box, keep: Callable[..., str], delete: Callable[[Journal, str], int]
) -> None:
    journal = box.open()
    turn = keep(journal, "why is the sky blue", at=NOW)
    leave(journal)
    with journal._connection.use() as database:
        database.execute("UPDATE egress SET turn_id = ?", [turn])
    assert delete(journal, turn) == 1
    assert [row["turn_id"] for row in journal.egress()] == [""]
    assert turn.encode() not in box.bytes_on_disk()


def test_it_goes_when_it_is_old(box: Box) -> None:
    journal = box.open()
    leave(journal)
    leave(journal, at=NOW + 50 * DAY_S)
    later = NOW + 90 * DAY_S + 1
    for passed_s in (0.0, 300.0, 700.0):
        journal.sweep(later + passed_s, passed_s)
    assert [row["started_at"] for row in journal.egress()] == [NOW + 50 * DAY_S]


def test_it_is_summed_up_by_day_and_backend(box: Box) -> None:
    journal = box.open()
    for at in (NOW, NOW + 60, NOW + 2 * DAY_S):
        leave(journal, at=at, bytes_out=10, price=0.5)
    days = journal.egress_days()
    assert [(day["turns"], day["bytes_out"], day["price"]) for day in days] == [(1, 10, 0.5), (2, 20, 1.0)]
    assert journal.egress(since=NOW + 60, limit=1)[0]["started_at"] == NOW + 2 * DAY_S
