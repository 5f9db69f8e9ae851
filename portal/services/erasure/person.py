"""The person whom an erasure is about: names and addresses, and texts without them."""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
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
# Maria Lopez <maria@example.com>, as an import keeps somebody whom it is to add.
NAME_AND_ADDRESS: Final = re.compile(r"[^<>@]{1,120} ?<(?P<email>[^<>\s]{1,254})>")


@dataclass(frozen=True)
class KnownPerson:
    """Somebody with every name and address that the portal has known; `label` takes their place.

    `sole_names`: those that nobody else among the users, or among the staff, has now, so that a
    name alone says who it was. `sought`: those of `texts` that the label replaces inside longer
    texts as well.
    """

    kind: ErasedKind
    id: int
    public_id: UUID
    label: str
    names: tuple[str, ...]
    emails: tuple[str, ...]
    sole_names: tuple[str, ...] = ()
    sought: tuple[str, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """Return what may be looked for inside longer texts.

        The name of a user may be a colleague's in the register, who is erased there; where a
        user's name is written, its row says whose it is.
        """
        names = self.names if self.kind is ErasedKind.STAFF else ()
        return tuple(dict.fromkeys(names + self.emails))

    @property
    def usual(self) -> tuple[str, ...]:
        """Those of `texts` that are sought unless somebody chooses otherwise.

        A name of one word may be a word as well: “the battery burns” is about nobody.
        """
        plain = {*self.emails, *(name for name in self.sole_names if len(name.split()) > 1)}
        return tuple(text for text in self.texts if text in plain)

    def without(self, value: Any) -> Any:
        """Return a stored value, a text or JSON, with the label where the person was named.

        An object with an id and a name is somebody: whoever has another id stays as they are. Of
        somebody who was still to be added, the id is 0, and the address tells who it is.
        """
        return self._changed(value, self._without)

    def owned(self, changes: dict[str, Any]) -> dict[str, Any]:
        """Return the changes of an audit entry about a webhook, which name its owners, without the
        person."""
        owner = changes.get("owner") or {}
        hidden = {
            side: self.label if name in self.sole_names else name for side, name in owner.items()
        }
        return {**changes, "owner": hidden} if owner else changes

    def reserver(self, note: str) -> str:
        """Return the note of a reservation's line, which begins with who reserved, without them."""
        own = (name for name in self.sole_names if note.startswith(f"{name}: "))
        name = next(own, None)
        return self.label + note.removeprefix(name) if name else note

    def mentions(self, value: Any) -> list[tuple[str, re.Match[str]]]:
        """Return each place inside longer texts where one of `texts` stands, and which one."""
        found: list[tuple[str, re.Match[str]]] = []

        def note(text: str) -> str:
            found.extend((self._text_of(each), each) for each in self._pattern.finditer(text))
            return text

        self._changed(value, note)
        return found

    def own(self, changes: dict[str, Any]) -> dict[str, Any]:
        """The changes of an audit entry about this person, without what names them."""
        return {
            field: self._hidden(change) if field in OWN_FIELDS else self.without(change)
            for field, change in changes.items()
        }

    def _changed(self, value: Any, change: Callable[[str], str]) -> Any:
        if isinstance(value, str):
            return change(value)
        if isinstance(value, list):
            return [self._changed(each, change) for each in value]
        if isinstance(value, dict):
            called = self._somebody(value) or change
            return {
                name: called(each) if isinstance(each, str) else self._changed(each, change)
                for name, each in value.items()
            }
        return value

    def _somebody(self, value: dict[str, Any]) -> Callable[[str], str] | None:
        """Return what changes the texts of somebody's object; None where it is about nobody."""
        if not {"id", "name"} <= value.keys():
            return None
        if value["id"] == 0:
            return (lambda _text: self.label) if self._is_sought(value.get("email")) else str
        if self.kind is not ErasedKind.STAFF or value["id"] != self.id:
            return str
        return lambda text: self.label if self._pattern.fullmatch(text) else text

    def _without(self, text: str) -> str:
        """Return a text without the person. What is no more than an address and a name before it
        goes whole: the name may have been made of the address."""
        both = NAME_AND_ADDRESS.fullmatch(text)
        if both and self._is_sought(both["email"]):
            return self.label
        return self._pattern.sub(self._replaced, text)

    def _is_sought(self, email: str | None) -> bool:
        return (email or "").casefold() in {each.casefold() for each in self.sought}

    def _hidden(self, change: Any) -> Any:
        if isinstance(change, dict):
            return {side: value and self.label for side, value in change.items()}
        return change and self.label

    def _replaced(self, match: re.Match[str]) -> str:
        return self.label if self._text_of(match) in self.sought else match[0]

    def _text_of(self, match: re.Match[str]) -> str:
        return self._longest_first[(match.lastindex or 1) - 1]

    @cached_property
    def _longest_first(self) -> list[str]:
        # So a longer name that is left out stays whole, though a part of it is sought.
        return sorted(self.texts, key=len, reverse=True)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        # Addresses in any case, names as they are written: “Will” is a word as well.
        each = (
            f"((?i:{re.escape(text)}))" if text in self.emails else f"({re.escape(text)})"
            for text in self._longest_first
        )
        return re.compile(rf"(?<!\w)(?:{'|'.join(each)})(?!\w)")


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
    known_as = erasure.known_as or {}
    person = _person(current, row, label_of(erasure), known_as)
    # Erasures that began before there was a choice look for all.
    return replace(person, sought=tuple(known_as.get("sought", person.texts)))


def person_to_be(current: Session, row: Staff | User) -> KnownPerson:
    """The person as an erasure would look for them; the label is not known yet."""
    return _person(current, row, "", known(current, row))


def _person(
    current: Session, row: Staff | User, label: str, known_as: dict[str, Any]
) -> KnownPerson:
    names, emails = tuple(known_as.get("names", ())), tuple(known_as.get("emails", ()))
    kind = ErasedKind.STAFF if isinstance(row, Staff) else ErasedKind.USER
    model = type(row)
    others = select(model.name).where(model.id != row.id, model.name.in_(names))
    taken = set(current.scalars(others))
    sole = tuple(name for name in names if name not in taken)
    return KnownPerson(kind, row.id, row.public_id, label, names, emails, sole)


def _sides(change: Any) -> list[str]:
    sides = change.values() if isinstance(change, dict) else ()
    return [side for side in sides if isinstance(side, str)]


def _each_once(texts: Iterable[str]) -> list[str]:
    return [text for text in dict.fromkeys(texts) if text.strip()]


def spellings(texts: Iterable[str]) -> list[str]:
    """Return the texts as they stand in plain text, and in JSON."""
    return list(dict.fromkeys(each for text in texts for each in (text, json.dumps(text)[1:-1])))
