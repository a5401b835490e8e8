"""Who came in and what they changed is kept in any case, and goes by its age alone."""

from __future__ import annotations

from agentbox.messages import Audit, StageEvent
from agentbox.storage.journal import Journal
from tests.storage.conftest import Box
from tests.storage.talk import NOW


def did(journal: Journal, at: float = NOW, outcome: str = "ok") -> None:
    message = Audit(action="config.set", target="speech.pace", device_id="d1", device_name="phone", address="10.0.0.2")
    journal.record(StageEvent(stage="audit", state=outcome, at=at, monotonic_s=0.0, message=message))
    assert journal.settle()


def test_what_was_done_by_whom_and_with_what_outcome(box: Box) -> None:
    journal = box.open(keep_transcripts=False)
    did(journal, outcome="config_invalid")
    [row] = journal.audit()
    assert {name: row[name] for name in row if name != "id"} == {
        "at": NOW,
        "device_id": "d1",
        "device_name": "phone",
        "address": "10.0.0.2",
        "action": "config.set",
        "target": "speech.pace",
        "outcome": "config_invalid",
    }


def test_it_outlives_what_was_said_and_goes_by_its_age(box: Box) -> None:
    journal = box.open(retention_days=90)
    did(journal, at=NOW - 100 * 86_400.0)
    did(journal, at=NOW)
    journal.delete_all()
    assert [row["at"] for row in journal.audit()] == [NOW, NOW - 100 * 86_400.0]
    journal._delete_before(NOW - 90 * 86_400.0)
    assert [row["at"] for row in journal.audit()] == [NOW]
