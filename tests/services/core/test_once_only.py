"""A form submitted twice acts once, and both submissions lead to its result."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal.extensions import db
from portal.models.audit import AuditEntry
from portal.services import audit
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import once_only, session, writing

pytestmark = pytest.mark.both_databases


def note_something() -> int:
    with writing() as current:
        audit.record(current, SYSTEM, "noted", target=("note", 1, "Note"))
        return 7


def notes() -> int:
    db.session.rollback()
    return db.session.execute(select(func.count(AuditEntry.id))).scalar_one()


def test_the_second_submission_leads_to_the_first_result(app: Flask) -> None:
    first, other = uuid4(), uuid4()
    notes_made = iter("abc")
    paths = [
        once_only("user:1", once, lambda: next(notes_made), lambda note: f"/notes/{note}")
        for once in (first, other, first, other)
    ]
    assert paths == ["/notes/a", "/notes/b", "/notes/a", "/notes/b"]
    assert next(notes_made) == "c"


def test_concurrent_submissions_act_once(app: Flask) -> None:
    once, start = uuid4(), Barrier(2)

    def send() -> str:
        with app.app_context():
            start.wait(timeout=5)
            path = once_only("user:1", once, note_something, lambda n: f"/notes/{n}")
            db.session.remove()
            return path

    with ThreadPoolExecutor(2) as pool:
        paths = [run.result(timeout=15) for run in [pool.submit(send) for _ in range(2)]]
    assert paths == ["/notes/7", "/notes/7"]
    assert notes() == 1


def test_another_person_can_use_the_same_token(app: Flask) -> None:
    once, made = uuid4(), iter("ab")
    owners = ["user:1", "user:2"]
    sent = [once_only(owner, once, lambda: next(made), str) for owner in owners * 2]
    assert sent == ["a", "b", "a", "b"]


@pytest.mark.parametrize("end", [Refusal("Choose another name."), SystemExit()])
def test_a_failed_form_can_be_resubmitted_and_leaves_no_transaction(
    app: Flask, end: BaseException
) -> None:
    once = uuid4()

    def refuse() -> int:
        note_something()
        raise end

    with pytest.raises(type(end)):
        once_only("user:1", once, refuse, str)
    assert not session().in_transaction()
    assert once_only("user:1", once, note_something, str) == "7"
    assert notes() == 1
