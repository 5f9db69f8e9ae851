"""Signs of life: whose they are, in which order they are told, and what is noted beside them."""

from datetime import datetime, timedelta
from threading import Event

import pytest
from flask import Flask
from sqlalchemy import update

from jobs.processes import heartbeat
from jobs.processes.heartbeat import Heartbeat
from portal.models.operations import Process
from portal.services.core import heartbeats
from portal.services.core.unit_of_work import database_time, session, writing
from tests.support.processes import until

pytestmark = pytest.mark.usefixtures("app")


def sign(kind: str, name: str, *, minutes: float = 0) -> datetime:
    """Its last sign was so long ago, or comes so much later."""
    with writing() as current:
        heartbeats.sign(current.connection(), kind, name)
        seen_at = database_time(current) - timedelta(minutes=minutes)
        current.execute(update(Process).where(Process.name == name).values(seen_at=seen_at))
        return seen_at


def test_of_each_kind_the_one_that_was_seen_last_comes_first() -> None:
    for kind, name, minutes in (
        ("web", "a", 3),
        ("web", "b", 1),
        ("pump", "c", 9),
        ("web", "d", 2),
    ):
        sign(kind, name, minutes=minutes)
    assert [each.name for each in heartbeats.lives()] == ["c", "b", "d", "a"]


def test_who_says_goodbye_takes_the_sign_of_its_sending_with_it() -> None:
    kind = "worker deliveries"
    for each in (kind, heartbeats.PUMP):
        sign(each, heartbeats.own_name(each))
    sign(kind, "another")
    with writing() as current:
        heartbeats.say_goodbye(current.connection(), kind)
    assert [each.name for each in heartbeats.lives()] == ["another"]


def test_the_age_is_that_of_the_latest_and_never_less_than_nothing() -> None:
    assert heartbeats.age("web") is None
    sign("web", "a", minutes=9)
    sign("web", "b", minutes=-1)
    assert heartbeats.age("web") == 0.0
    sign("pump", "c", minutes=2)
    assert heartbeats.age("pump") == pytest.approx(120, abs=5)


def test_what_was_noted_is_told_once_with_the_next_sign() -> None:
    heartbeats.take_notes()
    for each in (heartbeats.PROXY, heartbeats.PROXY, heartbeats.CLOSED_SECRET):
        heartbeats.note(each)
    assert sorted(heartbeats.take_notes()) == [heartbeats.CLOSED_SECRET, heartbeats.PROXY]
    assert heartbeats.take_notes() == ()
    heartbeats.record_own("web", heartbeats.PROXY)
    names = [each.name for each in heartbeats.lives()]
    assert names == [heartbeats.PROXY, heartbeats.own_name("web")]


def test_the_next_beat_comes_after_its_pause_as_long_as_all_is_well(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeats, "BEAT_EVERY", 0.01)
    monkeypatch.setattr(heartbeat, "AGAIN", 3600.0)
    beats: list[None] = []
    running = Heartbeat(app, heartbeats.WEB, write=lambda: beats.append(None)).begin()
    try:
        assert until(lambda: len(beats) >= 2, 10)
    finally:
        running.end(10)
    assert heartbeats.lives() == []


def test_who_ends_while_a_beat_hangs_says_no_goodbye(app: Flask) -> None:
    has_begun, may_end = Event(), Event()

    def hang() -> None:
        has_begun.set()
        may_end.wait(10)

    running = Heartbeat(app, heartbeats.WEB, write=hang).begin()
    try:
        assert has_begun.wait(10)
        running.end(0.01)
        session().rollback()
        assert [life.kind for life in heartbeats.lives()] == [heartbeats.WEB]
    finally:
        may_end.set()
        running.end(10)
    session().rollback()
    assert heartbeats.lives() == []


def test_a_process_that_is_not_well_gives_no_sign_and_is_asked_again(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeats, "BEAT_EVERY", 0.01)
    monkeypatch.setattr(heartbeat, "AGAIN", 3600.0)
    asked: list[None] = []
    running = Heartbeat(app, heartbeats.WEB, is_well=lambda: bool(asked.append(None))).begin()
    try:
        assert until(lambda: len(asked) >= 3, 10)
        assert heartbeats.lives() == []
    finally:
        running.end(10)
