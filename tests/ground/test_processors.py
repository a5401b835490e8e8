"""What the tests do when the host takes the processors away."""

from __future__ import annotations

import pytest

from tests.processors import Ticks, in_real_time


class Machine:
    """A test that fails the first `fails` times, on a machine that has lost so much of the time each time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, fails: int, stolen: float) -> None:
        self.had = self.rested = 0
        self._fails = fails
        monkeypatch.setattr(Ticks, "stolen_since", lambda _: stolen)

    def have(self) -> None:
        self.had += 1
        assert self.had > self._fails

    def rest(self) -> None:
        self.rested += 1


@pytest.mark.parametrize(("fails", "stolen", "had"), [(0, 0.5, 1), (0, 0.0, 1), (1, 0.3, 2), (2, 0.02, 3)])
def test_it_is_had_again_while_the_processors_are_elsewhere(
    monkeypatch: pytest.MonkeyPatch, fails: int, stolen: float, had: int
) -> None:
    machine = Machine(monkeypatch, fails=fails, stolen=stolen)
    in_real_time(machine.have, machine.rest)
    assert (machine.had, machine.rested) == (had, had - 1)


def test_it_fails_where_they_were_there(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, fails=1, stolen=0.01)
    with pytest.raises(AssertionError):
        in_real_time(machine.have, machine.rest)
    assert machine.had == 1


def test_it_is_skipped_where_they_never_are(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, fails=9, stolen=0.31)
    with pytest.raises(pytest.skip.Exception, match="31%"):
        in_real_time(machine.have, machine.rest)
    assert machine.had == 3


def test_the_machines_own_count() -> None:
    began = Ticks.now()
    sum(range(3_000_000))
    assert Ticks.now().worked > 0
    assert 0.0 <= began.stolen_since() <= 1.0
