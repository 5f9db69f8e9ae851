"""Two people answer for files with the same headings at once: what both said is remembered."""

from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.models.audit import AuditEntry
from portal.services.core.permissions import Actor
from portal.services.core.unit_of_work import session, writing
from portal.services.csv import remembered_matches
from tests.support.database.rivals import meanwhile
from tests.support.factories import make_user

HEADINGS = ["Gerät", "Zustand"]
GERAET = {"Gerät": "name"}


def keep(actor: Actor, matches: dict[str, str], **words: dict[str, str]) -> None:
    with writing() as current:
        remembered_matches.keep(current, actor, HEADINGS, matches, words)


def test_words_of_both_are_remembered(app: Flask) -> None:
    ana, ben = make_user("admin").actor, make_user("admin").actor
    keep(ana, GERAET)

    def say_new(current: Session) -> None:
        remembered_matches.keep(current, ben, HEADINGS, GERAET, {"status": {"neu": "new"}})

    meanwhile(app, lambda: keep(ana, GERAET, status={"alt": "old"}), say_new)
    _, words = remembered_matches.recall(HEADINGS)
    assert words == {"status": {"neu": "new", "alt": "old"}}


def test_what_is_forgotten_is_told_as_the_other_left_it(app: Flask) -> None:
    ana, ben = make_user("admin").actor, make_user("admin").actor
    keep(ana, GERAET)
    both = GERAET | {"Zustand": "status"}

    def forget() -> None:
        with writing() as current:
            remembered_matches.forget(current, ana, HEADINGS)

    def say_more(current: Session) -> None:
        remembered_matches.keep(current, ben, HEADINGS, both, {})

    meanwhile(app, forget, say_more)
    assert remembered_matches.recall(HEADINGS) == ({}, {})
    wanted = select(AuditEntry.changes).where(AuditEntry.action == "import_headings.forgotten")
    told = {"from": "Gerät: name; Zustand: status", "to": None}
    assert session().scalars(wanted).one() == {"matches": told}
