"""The dispatcher's way to a database that is locked or down."""

import pytest
from flask import Flask

from jobs.deliver import equip
from jobs.dispatcher import database_writer
from jobs.dispatcher.database_writer import DatabaseWriter
from portal.extensions import db
from tests.jobs.outage import Clock, refused

pytestmark = pytest.mark.both_databases


@pytest.mark.parametrize(("lasted", "said"), [(5.0, 0), (5.1, 1)])
def test_the_end_of_a_long_outage_is_told_once(
    app: Flask,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    lasted: float,
    said: int,
) -> None:
    del app
    monkeypatch.setattr(database_writer, "time", clock := Clock())
    writer = DatabaseWriter(equip().engine)
    with refused():
        assert writer.write(lambda _: "done") is None
    clock.now += lasted
    assert [writer.write(lambda _: "done") for _ in range(2)] == ["done"] * 2
    assert caplog.messages == ["The database takes results again."] * said


def test_a_database_that_is_away_for_long_is_asked_less_often(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    del app
    monkeypatch.setattr(database_writer, "time", clock := Clock())
    writer, asked = DatabaseWriter(equip().engine), []
    with refused():
        for tenth in range(100):
            clock.now = 1000.0 + tenth / 10 + 0.001 * tenth
            writer.write(lambda _: asked.append(tenth))  # noqa: B023 - called at once
    early, late = range(51), (60, 70, 80, 90)
    assert asked == [*early, *late]


def test_for_half_a_minute_after_a_lost_answer_it_is_unsure_what_was_committed(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    del app
    monkeypatch.setattr(database_writer, "time", clock := Clock())
    writer = DatabaseWriter(equip().engine)
    assert writer.is_sqlite is (db.engine.dialect.name == "sqlite")
    assert not writer.is_unsure
    with refused():
        writer.write(lambda _: None)
    clock.now += 29.9
    assert writer.is_unsure
    clock.now += 0.2
    assert not writer.is_unsure
