"""Stored values without the names of an erased person."""

from dataclasses import replace
from uuid import uuid4

from flask import Flask

from portal.models.assignments import Staff
from portal.models.audit import AuditEntry, ErasedKind
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import writing
from portal.services.erasure.person import KnownPerson, known, spellings
from tests.support.factories import make_staff

NAME = "Maria Lopez"
NOBODY = "Erased person 3"
MINE = {"id": 7, "name": NOBODY}


def test_only_the_erased_person_is_replaced_by_the_label() -> None:
    for value, left in (
        ({"id": 7, "name": NAME}, MINE),
        ({"id": 8, "name": NAME}, {"id": 8, "name": NAME}),
        ({"name": NAME}, {"name": NOBODY}),
        ({"id": 8, "note": NAME}, {"id": 8, "note": NOBODY}),
        ({"id": 8, "name": NAME, "was": [NAME]}, {"id": 8, "name": NAME, "was": [NOBODY]}),
        ([NAME, f"{NAME}s", f"To {NAME}."], [NOBODY, f"{NAME}s", f"To {NOBODY}."]),
        ("MARIA@example.com, maria lopez", f"{NOBODY}, maria lopez"),
        (7, 7),
    ):
        addresses = ("maria@example.com",)
        person = KnownPerson(
            ErasedKind.STAFF, 7, uuid4(), NOBODY, (NAME,), addresses, sought=(NAME, *addresses)
        )
        assert person.without(value) == left, value
        person = replace(person, sought=())
        assert person.without(value) == (MINE if left == MINE else value), value


def test_single_words_and_shared_names_are_not_sought_by_default() -> None:
    names, emails = ("Lopez", NAME, "Mia  Lopez"), ("m@example.com",)
    person = KnownPerson(ErasedKind.STAFF, 7, uuid4(), NOBODY, names, emails, ("Lopez", NAME))
    assert person.usual == (NAME, *emails)
    assert person.reserver(f"{NAME}: today") == f"{NOBODY}: today"
    assert person.reserver("Mia  Lopez: today") == "Mia  Lopez: today"


def test_a_longer_name_that_is_not_sought_stays_whole() -> None:
    names = ("Lopez", NAME)
    person = KnownPerson(ErasedKind.STAFF, 7, uuid4(), NOBODY, names, (), sought=("Lopez",))
    assert person.without(f"{NAME}, Lopez") == f"{NAME}, {NOBODY}"
    assert [text for text, _ in person.mentions([f"{NAME}, Lopez"])] == [NAME, "Lopez"]


def test_changes_of_a_person_hide_the_fields_that_name_them() -> None:
    addresses = ("maria@example.com",)
    person = KnownPerson(ErasedKind.USER, 7, uuid4(), NOBODY, (NAME,), addresses, sought=addresses)
    changes = {
        "name": {"from": None, "to": "Maria"},
        "phone": None,
        "email": "m@example.com",
        "role": {"from": "support", "to": "of maria@example.com"},
    }
    assert person.own(changes) == {
        "name": {"from": None, "to": NOBODY},
        "phone": None,
        "email": NOBODY,
        "role": {"from": "support", "to": f"of {NOBODY}"},
    }


def test_a_users_name_is_not_sought_in_texts() -> None:
    for kind, names in ((ErasedKind.STAFF, (NAME,)), (ErasedKind.USER, ())):
        person = KnownPerson(kind, 7, uuid4(), NOBODY, (NAME,), ("maria@example.com",))
        assert person.texts == (*names, "maria@example.com"), kind


def test_a_name_is_searched_as_written_and_as_json_escapes_it() -> None:
    assert spellings(["María", NAME]) == ["María", "Mar\\u00eda", NAME]


def test_all_former_names_are_known_and_blanks_are_no_names(app: Flask) -> None:
    del app
    staff_id = make_staff(NAME, email="maria@example.com")
    entries = [
        ("staff", "M. Lopez", {"email": {"from": None, "to": "m@example.com"}, "name": None}),
        ("staff", NAME, {"name": {"from": " ", "to": "Mia"}, "email": {"from": "", "to": 7}}),
        ("staff", NAME, {"phone": {"from": "1", "to": "2"}}),
        ("person", "Somebody else", {}),
    ]
    with writing() as current:
        row = current.get_one(Staff, staff_id)
        for kind, name, changes in entries:
            current.add(
                AuditEntry(
                    actor_name=SYSTEM.name,
                    origin=SYSTEM.origin,
                    action=f"{kind}.changed",
                    target_kind=kind,
                    target_id=str(row.public_id),
                    target_name=name,
                    changes=changes,
                )
            )
        current.flush()
        assert known(current, row) == {
            "names": [NAME, "M. Lopez", "Mia"],
            "emails": ["maria@example.com", "m@example.com"],
        }
