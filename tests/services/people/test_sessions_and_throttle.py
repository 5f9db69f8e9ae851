"""How long an ended session is remembered."""

from datetime import timedelta
from uuid import UUID, uuid4

from flask import Flask
from sqlalchemy import select

from portal.models.people import EndedSession
from portal.services.core.unit_of_work import session, writing
from portal.services.people import sign_in
from tests.support.factories import make_user

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def ended() -> set[UUID]:
    session().rollback()
    return set(session().scalars(select(EndedSession.session_id)))


def grow_older(by: timedelta) -> None:
    with writing() as current:
        for each in current.scalars(select(EndedSession)):
            each.ended_at -= by


def test_an_ended_session_is_known_for_as_long_as_its_cookie_could_live(app: Flask) -> None:
    ana, first, second = make_user(), uuid4(), uuid4()
    sign_in.end_session(ana.actor, first)
    grow_older(12 * HOUR - MINUTE)
    sign_in.end_session(ana.actor, second)
    assert ended() == {first, second}
    grow_older(2 * MINUTE)
    sign_in.end_session(ana.actor, third := uuid4())
    assert ended() == {second, third}


def test_signed_out_twice_it_stays_ended(app: Flask) -> None:
    ana, one = make_user(), uuid4()
    for _ in range(2):
        sign_in.end_session(ana.actor, one)
    assert ended() == {one}
