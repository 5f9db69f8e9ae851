"""If two people answer for files with the same headings at once, both answers are remembered."""

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.models.assets import Asset
from portal.models.audit import AuditEntry
from portal.models.tasks import ImportMatch
from portal.services import tasks
from portal.services.core.permissions import Actor
from portal.services.core.unit_of_work import session, writing
from portal.services.csv import import_answers, import_matches, import_rows
from portal.services.csv.import_matches import Remembered
from portal.services.csv.import_rows import ImportOptions
from tests.services.csv.import_steps import check, found, rows_of
from tests.support.database.rivals import Rival, meanwhile
from tests.support.factories import make_asset, make_user

pytestmark = pytest.mark.both_databases

HEADINGS = ["Gerät", "Zustand"]
GERAET = {"Gerät": "name"}


def keep(actor: Actor, matches: dict[str, str], **words: dict[str, str]) -> None:
    with writing() as current:
        import_matches.keep(current, actor, HEADINGS, Remembered(matches, words))


def test_words_of_both_answers_are_remembered(app: Flask) -> None:
    ana, ben = make_user("admin").actor, make_user("admin").actor
    keep(ana, GERAET)

    rival = Rival(app, lambda: keep(ana, GERAET, status={"alt": "old"}))
    with writing() as current:
        # The row is read, but not written yet.
        current.execute(select(ImportMatch).with_for_update())
        rival.begin()
        answer = Remembered(GERAET, {"status": {"neu": "new"}})
        import_matches.keep(current, ben, HEADINGS, answer)
    rival.finish()
    words = import_matches.recall(HEADINGS).words
    assert words == {"status": {"neu": "new", "alt": "old"}}


def test_forgetting_audits_the_matches_as_the_other_person_left_them(app: Flask) -> None:
    ana, ben = make_user("admin").actor, make_user("admin").actor
    keep(ana, GERAET)
    both = GERAET | {"Zustand": "status"}

    def forget() -> None:
        with writing() as current:
            import_matches.forget(current, ana, HEADINGS)

    def say_more(current: Session) -> None:
        import_matches.keep(current, ben, HEADINGS, Remembered(both))

    meanwhile(app, forget, say_more)
    assert import_matches.recall(HEADINGS) == Remembered()
    query = select(AuditEntry.changes).where(AuditEntry.action == "import_headings.forgotten")
    change = {"from": "Gerät: Name; Zustand: status", "to": None}
    assert session().scalars(query).one() == {"matches": change}


def test_a_row_fails_if_its_asset_changes_meanwhile(app: Flask) -> None:
    asset_id, ticks = make_asset("Lamp", asset_tag="L-1"), ImportOptions(change_existing=True)
    cells = {"asset_tag": "L-1", "name": "Desk lamp"}
    with writing() as current:
        shown = import_rows.plan(current, cells, ticks).shown

    def carry_on() -> None:
        with writing() as current:
            import_rows.plan_as_shown(current, cells, ticks, shown)

    def change(current: Session) -> None:
        current.get_one(Asset, asset_id, with_for_update=True).version += 1

    refusal = meanwhile(app, carry_on, change)
    assert refusal.sentence == "The asset changed after the check. Check the file again"


def test_no_correction_in_a_file_that_is_read_differently_meanwhile(app: Flask) -> None:
    ana = make_user("admin")
    check_id = check(ana, "name,purchase_date\nChair,soon\n")

    def correct() -> None:
        import_answers.correct(ana.actor, check_id, {2: {"purchase_date": "2023-05-01"}})

    def read_otherwise(current: Session) -> None:
        task = tasks.locked(current, check_id)
        task.params = {**task.params, "turn": 1}

    refused = meanwhile(app, correct, read_otherwise)
    assert refused.sentence.startswith("Open this page again")
    assert found(check_id)[0][1] == "error"
    assert rows_of(check_id)[0].data["cells"]["purchase_date"] == "soon"
