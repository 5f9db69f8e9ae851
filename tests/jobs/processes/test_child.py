"""A program that dies is started again, at once the first time, then after growing pauses."""

import time

import pytest

from jobs.processes import child
from jobs.processes.child import Child
from jobs.processes.plan import Program


@pytest.fixture
def dying() -> Child:
    """A program that has been started."""
    made = Child(Program("a", ["true"], 0))
    made.start()
    assert made.process is not None
    made.process.communicate()
    return made


def test_its_pauses_grow_up_to_five_seconds_and_are_kept(dying: Child) -> None:
    before = time.monotonic()
    pauses = [dying.plan_restart() for _ in range(7)]
    assert pauses == [0.0, 0.5, 1.0, 2.0, 5.0, 5.0, 5.0]
    assert dying.start_at is not None
    assert before + 5 <= dying.start_at <= time.monotonic() + 5


def test_one_that_was_well_for_a_while_is_started_at_once_again(
    dying: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [dying.plan_restart() for _ in range(3)] == [0.0, 0.5, 1.0]
    monkeypatch.setattr(child, "WELL_SECONDS", 0.0)
    assert dying.plan_restart() == 0.0
    monkeypatch.undo()
    assert dying.plan_restart() == 0.5
