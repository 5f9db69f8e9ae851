"""A program that dies is restarted, at first at once, then after growing pauses. Its output is
passed on unchanged."""

import os
import time

import pytest

from jobs import supervisor
from jobs.supervisor import Child, LineReader, Program
from tests.support.processes import is_alive, until


@pytest.fixture
def dying() -> Child:
    """Return a started program that has ended."""
    made = Child(Program("a", ["true"], 0))
    made.start()
    assert made.process is not None
    made.process.communicate()
    return made


def test_restart_pauses_grow_up_to_five_seconds(dying: Child) -> None:
    assert dying.has_died()  # and its session is empty
    before = time.monotonic()
    pauses = [dying.plan_restart() for _ in range(7)]
    assert pauses == [0.0, 0.5, 1.0, 2.0, 5.0, 5.0, 5.0]
    assert dying.start_at is not None
    assert before + 5 <= dying.start_at <= time.monotonic() + 5


def test_a_program_that_ran_well_for_a_while_restarts_at_once(
    dying: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [dying.plan_restart() for _ in range(3)] == [0.0, 0.5, 1.0]
    monkeypatch.setattr(supervisor, "WELL_SECONDS", 0.0)
    assert dying.plan_restart() == 0.0
    monkeypatch.undo()
    assert dying.plan_restart() == 0.5


def test_terminate_ends_the_program_and_its_session() -> None:
    code = "trap 'exit 3' TERM; sleep 60 & echo $!; echo wrong >&2; wait"
    made = Child(Program("a", ["sh", "-c", code], 0))
    assert not made.has_died()
    made.terminate()  # no process yet
    made.start()
    process = made.process
    assert process is not None
    assert process.stdout is not None
    with process.stdout as output:
        left, wrong = int(output.readline()), output.readline()
    assert (wrong, made.has_died()) == (b"wrong\n", False)
    made.terminate()
    assert process.wait(10) == 3
    assert is_alive(left)
    assert made.has_died()
    assert until(lambda: not is_alive(left), 10)
    made.terminate()  # no process any more
    made.kill()


def test_programs_do_not_read_the_terminal_of_the_portal() -> None:
    made = Child(Program("a", ["sh", "-c", "read line; echo heard: $line"], 0))
    own, (reading, writing) = os.dup(0), os.pipe()
    os.write(writing, b"secret\n")
    os.dup2(reading, 0)
    try:
        made.start()
    finally:
        os.dup2(own, 0)
        for descriptor in (own, reading, writing):
            os.close(descriptor)
    assert made.process is not None
    assert made.process.communicate(timeout=10) == (b"heard:\n", None)


def test_any_output_is_passed_on_line_by_line() -> None:
    heard: list[tuple[str, str]] = []
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    lines = LineReader(reading, "web", lambda name, line: heard.append((name, line)))
    assert lines.read()  # nothing yet
    os.write(writing, b"one \r\ntwo\n\xff is no UTF-8\nthe be")
    assert lines.read()
    assert heard == [("web", "one"), ("web", "two"), ("web", "\ufffd is no UTF-8")]
    os.write(writing, b"ginning\nwithout an end")
    os.close(writing)
    while lines.read():
        pass
    assert not lines.read()
    assert heard[3:] == [("web", "the beginning"), ("web", "without an end")]
    os.close(reading)
