"""What an entry of the audit trail is found by, and what of it is shown."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from portal.lib.clock import utcnow
from portal.models.audit import AuditEntry
from portal.services import audit
from portal.services.audit import LastChange, TrailEntry, TrailFilter
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import session, writing
from tests.support.factories import Person, make_user, make_webhook

pytestmark = pytest.mark.usefixtures("app")


def note(kind: str, target_id: object, by: Person | None = None, **changes: Any) -> None:
    with writing() as current:
        actor = by.actor if by else SYSTEM
        target = (kind, target_id, "Thing")
        audit.record(current, actor, f"{kind}.changed", target=target, changes=changes)


def shown() -> list[dict[str, Any]]:
    rows = session().scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    return [changes for _, changes in audit.shown_changes(session(), rows)]


@pytest.mark.both_databases
def test_the_last_change_of_a_thing_is_the_youngest_of_its_own_kind() -> None:
    ana, ben, cleo = (make_user(name=name) for name in ("Ana", "Ben", "Cleo"))
    for kind, target_id, by in (("asset", 7, ana), ("asset", 7, ben), ("category", 7, cleo)):
        note(kind, target_id, by)
    note("asset", 8, cleo)
    found = audit.last_change("asset", 7)
    assert found is not None
    assert found.by == "Ben"
    assert audit.last_change("location", 7) is None


@pytest.mark.both_databases
def test_of_addresses_those_are_hidden_that_are_secret() -> None:
    address = "https://receiver.example.com/in/abcdefgh"
    plain, secret = make_webhook(), make_webhook(url_is_secret=True)
    change = {"from": None, "to": address}
    for target_id in (plain.public_id, secret.public_id, uuid4(), "7"):
        note("webhook", target_id, url=change, name={"from": "a", "to": "b"})
    note("asset", 7, url=change)
    told = [each["url"]["to"] for each in shown()]
    assert told[0] == told[2] == told[3] == told[4] == address
    assert told[1].startswith("https://receiver.example.com")
    assert "abcdefgh" not in told[1]
    assert [each["url"]["from"] for each in shown()] == [None] * 5
    assert [each.get("name", {}).get("to") for each in shown()] == ["b"] * 4 + [None]


def test_of_an_entry_every_fact_is_told() -> None:
    ana, change = make_user(name="Ana"), {"name": {"from": "a", "to": "b"}}
    note("category", 7, ana, **change)
    (row,) = session().scalars(select(AuditEntry)).all()
    told = TrailEntry(
        id=row.id,
        at=row.at,
        by="Ana",
        origin="ui",
        action="category.changed",
        kind="category",
        target_id="7",
        target_name="Thing",
        changes=change,
    )
    assert audit.find_page(TrailFilter()).rows == [told]
    assert list(audit.every(TrailFilter())) == [told]
    assert audit.last_change("category", 7) == LastChange("Ana", row.at)


def test_people_are_chosen_by_name_whatever_its_letters() -> None:
    made = [make_user(name=name) for name in ("Cleo", "ben", "Ana")]
    assert audit.people_names() == [(each.public_id, each.name) for each in made[::-1]]


def test_while_entries_are_written_to_a_file_no_transaction_is_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audit, "EXPORT_CHUNK", 2)
    for number in range(3):
        note("asset", number)
    told = [session().in_transaction() for _ in audit.every(TrailFilter())]
    assert told == [False] * 3


def test_entries_of_one_moment_are_written_to_a_file_once_each_the_youngest_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audit, "EXPORT_CHUNK", 2)
    at = utcnow()
    ago = (0, 1, 0, 1, 0, 1)
    with writing() as current:
        for number, minutes in enumerate(ago):
            entry = AuditEntry(actor_name="Ana", origin="ui", action="asset.changed", changes={})
            entry.target_kind, entry.target_id, entry.target_name = "asset", str(number), "Thing"
            entry.at = at - timedelta(minutes=minutes)
            current.add(entry)
            current.flush()
    assert [each.target_id for each in audit.every(TrailFilter())] == list("420531")
