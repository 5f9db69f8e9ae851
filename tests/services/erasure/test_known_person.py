"""What is left of a stored value that names somebody who is erased."""

from typing import Any
from uuid import uuid4

import pytest

from portal.models.audit import ErasedKind
from portal.services.erasure.person import KnownPerson

NAME = "Maria Lopez"
NOBODY = "Erased person 3"


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ({"id": 7, "name": NAME}, {"id": 7, "name": NOBODY}),
        ({"id": 8, "name": NAME}, {"id": 8, "name": NAME}),
        ({"name": NAME}, {"name": NOBODY}),
        ({"id": 8, "note": NAME}, {"id": 8, "note": NOBODY}),
        ({"id": 8, "name": NAME, "was": [NAME]}, {"id": 8, "name": NAME, "was": [NOBODY]}),
        ([NAME, f"{NAME}s", f"To {NAME}."], [NOBODY, f"{NAME}s", f"To {NOBODY}."]),
        ("MARIA@example.com, maria lopez", f"{NOBODY}, maria lopez"),
        (7, 7),
    ],
)
def test_whoever_is_meant_is_a_number_and_others_stay_as_they_are(value: Any, left: Any) -> None:
    addresses = ("maria@example.com",)
    person = KnownPerson(ErasedKind.STAFF, 7, uuid4(), NOBODY, (NAME,), addresses)
    assert person.without(value) == left


def test_of_what_is_said_about_a_person_the_fields_that_name_them_are_hidden() -> None:
    person = KnownPerson(ErasedKind.USER, 7, uuid4(), NOBODY, (NAME,), ("maria@example.com",))
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
