"""The audit trail: searches, displayed changes, and exports."""

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
def test_the_last_change_is_the_newest_entry_of_the_same_target() -> None:
    ana, ben, cleo = (make_user(name=name) for name in ("Ana", "Ben", "Cleo"))
    for kind, target_id, by in (("asset", 7, ana), ("asset", 7, ben), ("category", 7, cleo)):
        note(kind, target_id, by)
    note("asset", 8, cleo)
    change = audit.last_change("asset", 7)
    assert change is not None
    assert change.by == "Ben"
    assert audit.last_change("location", 7) is None


@pytest.mark.both_databases
def test_only_secret_addresses_are_hidden() -> None:
    address = "https://receiver.example.com/in/abcdefgh"
    plain, secret = make_webhook(), make_webhook(url_is_secret=True)
    change = {"from": None, "to": address}
    for target_id in (plain.public_id, secret.public_id, uuid4(), "7"):
        note("webhook", target_id, url=change, name={"from": "a", "to": "b"})
    note("asset", 7, url=change)
    addresses = [changes["url"]["to"] for changes in shown()]
    assert addresses[0] == addresses[2] == addresses[3] == addresses[4] == address
    assert addresses[1].startswith("https://receiver.example.com")
    assert "abcdefgh" not in addresses[1]
    assert [changes["url"]["from"] for changes in shown()] == [None] * 5
    assert [changes.get("name", {}).get("to") for changes in shown()] == ["b"] * 4 + [None]


def test_an_entry_shows_every_fact() -> None:
    ana, change = make_user(name="Ana"), {"name": {"from": "a", "to": "b"}}
    note("category", 7, ana, **change)
    (row,) = session().scalars(select(AuditEntry)).all()
    expected = TrailEntry(
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
    assert audit.find_page(TrailFilter()).rows == [expected]
    assert list(audit.every(TrailFilter())) == [expected]
    assert audit.last_change("category", 7) == LastChange("Ana", row.at)


def test_people_are_sorted_by_name_regardless_of_case() -> None:
    made = [make_user(name=name) for name in ("Cleo", "ben", "Ana")]
    assert audit.people_names() == [(person.public_id, person.name) for person in made[::-1]]


def test_no_transaction_is_open_during_an_export(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audit, "EXPORT_CHUNK", 2)
    for number in range(3):
        note("asset", number)
    is_open = [session().in_transaction() for _ in audit.every(TrailFilter())]
    assert is_open == [False] * 3


def test_entries_of_one_time_are_exported_once_each_newest_first(
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
    assert [exported.target_id for exported in audit.every(TrailFilter())] == list("420531")
