"""Whom an erasure is about: what the person is known as, and texts without that."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.models.assignments import Staff
from portal.models.audit import AuditEntry, ErasedKind, Erasure
from portal.models.people import User
from portal.services.core.erasures import label_of

# What the audit trail calls them.
TARGETS: Final = {ErasedKind.STAFF: "staff", ErasedKind.USER: "person"}
# Of a person's own audit entries: fields whose values name the person.
OWN_FIELDS: Final = frozenset(
    {"name", "email", "employee_no", "department", "phone", "network_address"}
)


@dataclass(frozen=True)
class KnownPerson:
    """Somebody with every name and address that the portal has known; `label` takes their place.

    `sole_names`: those that no other user has, so that a name alone says who it was.
    """

    kind: ErasedKind
    id: int
    public_id: UUID
    label: str
    names: tuple[str, ...]
    emails: tuple[str, ...]
    sole_names: tuple[str, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """What is looked for inside longer texts.

        The name of a user may be a colleague's in the register, who is erased there; where a
        user's name is written, its row says whose it is.
        """
        return self.emails + (self.names if self.kind is ErasedKind.STAFF else ())

    @cached_property
    def spellings(self) -> tuple[str, ...]:
        """The same as they stand in plain text, and in JSON."""
        return tuple(dict.fromkeys(each for text in self.texts for each in (text, _escaped(text))))

    def without(self, value: Any) -> Any:
        """A stored value with the label where the person was named: a text, or JSON.

        An object with an id and a name is somebody: whoever has another id stays as they are.
        """
        if isinstance(value, str):
            return self._pattern.sub(self.label, value) if self.texts else value
        if isinstance(value, list):
            return [self.without(each) for each in value]
        if isinstance(value, dict):
            keeps = {"id", "name"} <= value.keys() and not self._is_me(value["id"])
            return {
                name: each if keeps and isinstance(each, str) else self.without(each)
                for name, each in value.items()
            }
        return value

    def own(self, changes: dict[str, Any]) -> dict[str, Any]:
        """The changes of an audit entry about this person, without what names them."""
        return {
            field: self._hidden(change) if field in OWN_FIELDS else self.without(change)
            for field, change in changes.items()
        }

    def _is_me(self, its_id: object) -> bool:
        return self.kind is ErasedKind.STAFF and its_id == self.id

    def _hidden(self, change: Any) -> Any:
        if isinstance(change, dict):
            return {side: value and self.label for side, value in change.items()}
        return change and self.label

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        # Addresses in any case, names as they are written: “Will” is a word as well.
        found = [f"(?i:{re.escape(email)})" for email in self.emails]
        found += [re.escape(text) for text in self.texts if text not in self.emails]
        return re.compile(rf"(?<!\w)(?:{'|'.join(sorted(found, key=len, reverse=True))})(?!\w)")


def known(current: Session, row: Staff | User) -> dict[str, list[str]]:
    """{names, emails} that this person has, and had by what the audit trail tells."""
    kind = ErasedKind.STAFF if isinstance(row, Staff) else ErasedKind.USER
    names, emails = [row.name], [row.email]
    wanted = select(AuditEntry.target_name, AuditEntry.changes).where(
        AuditEntry.target_kind == TARGETS[kind], AuditEntry.target_id == str(row.public_id)
    )
    for target_name, changes in current.execute(wanted.order_by(AuditEntry.id)):
        names.append(target_name)
        names += _sides(changes.get("name"))
        emails += _sides(changes.get("email"))
    return {"names": _each_once(names), "emails": _each_once(emails)}


def person_of(current: Session, erasure: Erasure, row: Staff | User) -> KnownPerson:
    """The person whom a stored erasure is about."""
    return _person(current, row, label_of(erasure), erasure.known_as or {})


def person_to_be(current: Session, row: Staff | User) -> KnownPerson:
    """The person as an erasure would look for them; the label is not known yet."""
    return _person(current, row, "", known(current, row))


def _person(
    current: Session, row: Staff | User, label: str, known_as: dict[str, Any]
) -> KnownPerson:
    names, emails = tuple(known_as.get("names", ())), tuple(known_as.get("emails", ()))
    kind = ErasedKind.STAFF if isinstance(row, Staff) else ErasedKind.USER
    taken: set[str] = set()
    if kind is ErasedKind.USER:
        others = select(User.name).where(User.id != row.id, User.name.in_(names))
        taken = set(current.scalars(others))
    sole = tuple(name for name in names if name not in taken)
    return KnownPerson(kind, row.id, row.public_id, label, names, emails, sole)


def _sides(change: Any) -> list[str]:
    sides = change.values() if isinstance(change, dict) else ()
    return [side for side in sides if isinstance(side, str)]


def _each_once(texts: Iterable[str]) -> list[str]:
    return [text for text in dict.fromkeys(texts) if text.strip()]


def _escaped(text: str) -> str:
    return json.dumps(text)[1:-1]
