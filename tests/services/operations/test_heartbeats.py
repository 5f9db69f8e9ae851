"""Heartbeats: which process they belong to, their order, and the notes beside them."""

import os
from datetime import datetime, timedelta
from threading import Event

import pytest
from flask import Flask
from sqlalchemy import Engine, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from jobs import heartbeat
from jobs.heartbeat import Heartbeat
from portal.extensions import settings
from portal.models.operations import Process
from portal.services.core import heartbeats
from portal.services.core.heartbeats import own_process
from portal.services.core.unit_of_work import database_time, session, writing
from portal.services.operations.readiness import HealthSnapshot, Readiness
from tests.services.operations.test_readiness import on, somebody_else
from tests.support.heartbeats import record_own
from tests.support.processes import until

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]


def sign(kind: str, name: str, *, minutes: float = 0) -> datetime:
    """Record a heartbeat, move it this many minutes into the past, and return its time."""
    with writing() as current:
        heartbeats.record(current.connection(), kind, name)
        seen_at = database_time(current) - timedelta(minutes=minutes)
        current.execute(update(Process).where(Process.name == name).values(seen_at=seen_at))
        return seen_at


def test_processes_of_a_kind_are_sorted_by_their_latest_heartbeat() -> None:
    for kind, name, minutes in (
        ("web", "a", 3),
        ("web", "b", 1),
        ("dispatcher", "c", 9),
        ("web", "d", 2),
    ):
        sign(kind, name, minutes=minutes)
    assert [process.name for process in heartbeats.processes()] == ["c", "b", "d", "a"]


def test_deregistering_also_removes_the_processes_it_replaced() -> None:
    for name, minutes in (("lost", 14), ("beside it", 0)):
        sign(heartbeats.WEB, name, minutes=minutes)
    sign(heartbeats.SCHEDULER, "of another kind", minutes=14)
    record_own(heartbeats.WEB)
    sign(heartbeats.WEB, "elsewhere", minutes=14)
    sign(heartbeats.WEB, "lost later", minutes=1)
    with writing() as current:
        own = Process.name == heartbeats.own_name(heartbeats.WEB)
        before = database_time(current) - timedelta(minutes=5)
        current.execute(update(Process).where(own).values(started_at=before))
        there = Process.name == "elsewhere"
        current.execute(update(Process).where(there).values(host="another"))
        heartbeats.deregister(current.connection(), heartbeats.WEB)
    left = {process.name for process in heartbeats.processes()}
    assert left == {"beside it", "of another kind", "elsewhere", "lost later"}


def test_each_heartbeat_writes_everything_that_the_first_one_did() -> None:
    def row() -> Process:
        session().rollback()
        return session().scalars(select(Process)).one()

    record_own(heartbeats.WEB)
    began = row().started_at
    others = {"host": "elsewhere", "pid": 0, "trouble": "full: no room", "skew": 99.0, "run": None}
    with writing() as current:
        current.execute(update(Process).values(**others))
    record_own(heartbeats.WEB)
    own = row()
    assert (own.host, own.pid, own.trouble) == (settings().machine, os.getpid(), None)
    assert (own.run, own.started_at) == (own_process(), began)
    assert abs(own.skew) < 5


def test_heartbeats_keep_their_interval_while_all_is_well(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeats, "HEARTBEAT_EVERY", 0.01)
    monkeypatch.setattr(heartbeat, "AGAIN", 3600.0)
    beats: list[None] = []
    running = Heartbeat(app, heartbeats.WEB, write=lambda: beats.append(None)).begin()
    try:
        assert until(lambda: len(beats) >= 2, 10)
    finally:
        running.end(10)
    assert heartbeats.processes() == []


def test_a_process_that_ends_in_a_hanging_heartbeat_does_not_deregister(app: Flask) -> None:
    has_begun, may_end = Event(), Event()

    def hang() -> None:
        has_begun.set()
        may_end.wait(10)

    running = Heartbeat(app, heartbeats.WEB, write=hang).begin()
    try:
        assert has_begun.wait(10)
        running.end(0.01)
        session().rollback()
        assert [process.kind for process in heartbeats.processes()] == [heartbeats.WEB]
    finally:
        may_end.set()
        running.end(10)
    session().rollback()
    assert heartbeats.processes() == []


def test_an_unhealthy_process_has_no_heartbeat_and_is_asked_again(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeats, "HEARTBEAT_EVERY", 0.01)
    monkeypatch.setattr(heartbeat, "AGAIN", 3600.0)
    asked: list[None] = []
    running = Heartbeat(app, heartbeats.WEB, is_well=lambda: bool(asked.append(None))).begin()
    try:
        assert until(lambda: len(asked) >= 3, 10)
        assert heartbeats.processes() == []
    finally:
        running.end(10)


def test_each_heartbeat_reports_its_findings_and_does_its_extra_work(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, around = Readiness(), HealthSnapshot(has_tables=True)
    monkeypatch.setattr(heartbeat, "readiness", own)
    monkeypatch.setattr(heartbeats, "HEARTBEAT_EVERY", 0.01)
    monkeypatch.setattr(heartbeat, "AGAIN", 3600.0)  # a failed write is not trouble
    heartbeats.note("noticed")
    done: list[str] = []

    def write() -> None:
        done.append("write")
        if len(done) == 1:
            raise SQLAlchemyError("busy")

    beats = Heartbeat(
        *(app, heartbeats.WEB),
        write=write,
        look=lambda _: around,
        also=lambda _: done.append("beside"),
    ).begin()
    try:
        assert until(lambda: len(done) >= 3, 10)
        assert done[:3] == ["write", "write", "beside"]
        assert own.snapshot is around
        assert (own.has_heartbeats, own.read().database) == (True, "ok")
    finally:
        beats.end(10)
    assert not own.has_heartbeats
    assert heartbeats.age("noticed") is not None


def looks_in_trouble(app: Flask, monkeypatch: pytest.MonkeyPatch) -> tuple[str, int]:
    """Return the database status after two bad heartbeats, and how often they looked around."""
    own, written = Readiness(), list[None]()
    monkeypatch.setattr(heartbeat, "readiness", own)
    monkeypatch.setattr(heartbeats, "HEARTBEAT_EVERY", 3600.0)
    monkeypatch.setattr(heartbeat, "AGAIN", 0.01)
    looks: list[Engine] = []

    def look(engine: Engine) -> HealthSnapshot:
        looks.append(engine)
        return HealthSnapshot()

    beats = Heartbeat(app, heartbeats.WEB, write=lambda: written.append(None), look=look).begin()
    try:
        assert until(lambda: own.read().database not in {"no answer yet", "ok"}, 10)
    finally:
        beats.end(10)
    assert written == []
    return own.read().database, len(looks)


def test_heartbeats_still_look_around_while_only_writes_are_refused(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    on("postgresql")
    with somebody_else() as other:
        other.execute(text("LOCK TABLE events IN SHARE MODE"))
        status, looks = looks_in_trouble(app, monkeypatch)
    assert status == 'locked: could not obtain lock on relation "events"'
    assert looks >= 1
