"""Represent the person being erased, and remove their names and addresses from values."""

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

# The target kinds in the audit trail.
TARGETS: Final = {ErasedKind.STAFF: "staff", ErasedKind.USER: "person"}
# Fields whose values identify the person, in audit entries about that person.
OWN_FIELDS: Final = frozenset(
    {"name", "email", "employee_no", "department", "phone", "network_address"}
)
# Maria Lopez <maria@example.com>, as an import stores a person to be added.
NAME_AND_ADDRESS: Final = re.compile(r"[^<>@]{1,120} ?<(?P<email>[^<>\s]{1,254})>")


@dataclass(frozen=True)
class KnownPerson:
    """A person with all current and earlier names and addresses, which `label` replaces.

    `sole_names` are the names that currently no other user, or no other member of staff, has. Such
    a name identifies the person by itself. `sought` are the `texts` that the label also replaces
    inside longer texts.
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
        """Return the names and addresses that can be looked for inside longer texts.

        The names of users are excluded. The same name in the register can be a colleague's, who is
        erased separately, and rows with a user's name identify the user.
        """
        names = self.names if self.kind is ErasedKind.STAFF else ()
        return tuple(dict.fromkeys(names + self.emails))

    @property
    def usual(self) -> tuple[str, ...]:
        """The `texts` that are sought by default.

        Names of one word are left out because they can be ordinary words, as in “the battery
        burns”.
        """
        plain = {*self.emails, *(name for name in self.sole_names if len(name.split()) > 1)}
        return tuple(text for text in self.texts if text in plain)

    def without(self, value: Any) -> Any:
        """Return a stored text or JSON value with the label in place of the person.

        An object with an id and a name is a person, and is unchanged if the id is another one. A
        person still to be added has the id 0 and is identified by the address.
        """
        return self._changed(value, self._without)

    def owned(self, changes: dict[str, Any]) -> dict[str, Any]:
        """Return a webhook's audit changes without the person as its owner or taker."""
        hidden = {
            field: {
                side: self.label if name in self.sole_names else name
                for side, name in changes[field].items()
            }
            for field in ("owner", "taken_by")
            if changes.get(field)
        }
        return {**changes, **hidden}

    def reserver(self, note: str) -> str:
        """Return a reservation's timeline note with the requester's name at its start replaced."""
        own = (name for name in self.sole_names if note.startswith(f"{name}: "))
        name = next(own, None)
        return self.label + note.removeprefix(name) if name else note

    def mentions(self, value: Any) -> list[tuple[str, re.Match[str]]]:
        """Return (text, match) for each place where one of `texts` occurs in the value."""
        found: list[tuple[str, re.Match[str]]] = []

        def note(text: str) -> str:
            found.extend((self._text_of(match), match) for match in self._pattern.finditer(text))
            return text

        self._changed(value, note)
        return found

    def own(self, changes: dict[str, Any]) -> dict[str, Any]:
        """Return the changes of an audit entry about this person, without identifying values."""
        return {
            field: self._hidden(change) if field in OWN_FIELDS else self.without(change)
            for field, change in changes.items()
        }

    def _changed(self, value: Any, change: Callable[[str], str]) -> Any:
        if isinstance(value, str):
            return change(value)
        if isinstance(value, list):
            return [self._changed(item, change) for item in value]
        if isinstance(value, dict):
            change_text = self._somebody(value) or change
            return {
                name: change_text(item) if isinstance(item, str) else self._changed(item, change)
                for name, item in value.items()
            }
        return value

    def _somebody(self, value: dict[str, Any]) -> Callable[[str], str] | None:
        """Return the function for the texts of a person's object, or None for other objects."""
        if not {"id", "name"} <= value.keys():
            return None
        if value["id"] == 0:
            return (lambda _text: self.label) if self._is_sought(value.get("email")) else str
        if self.kind is not ErasedKind.STAFF or value["id"] != self.id:
            return str
        return lambda text: self.label if self._pattern.fullmatch(text) else text

    def _without(self, text: str) -> str:
        """Return a text without the person.

        A text with only a name and a sought address is replaced as a whole, because the name can be
        derived from the address.
        """
        match = NAME_AND_ADDRESS.fullmatch(text)
        if match and self._is_sought(match["email"]):
            return self.label
        return self._pattern.sub(self._replaced, text)

    def _is_sought(self, email: str | None) -> bool:
        return (email or "").casefold() in {text.casefold() for text in self.sought}

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
        # Keeps a longer name that is not sought intact, even if a part of it is sought.
        return sorted(self.texts, key=len, reverse=True)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        # Addresses match in any case, but names only as written, because “will” is also a word.
        alternatives = (
            f"((?i:{re.escape(text)}))" if text in self.emails else f"({re.escape(text)})"
            for text in self._longest_first
        )
        return re.compile(rf"(?<!\w)(?:{'|'.join(alternatives)})(?!\w)")


def known(current: Session, row: Staff | User) -> dict[str, list[str]]:
    """Return the person's "names" and "emails", with earlier ones from the audit trail."""
    kind = ErasedKind.STAFF if isinstance(row, Staff) else ErasedKind.USER
    names, emails = [row.name], [row.email]
    query = select(AuditEntry.target_name, AuditEntry.changes).where(
        AuditEntry.target_kind == TARGETS[kind], AuditEntry.target_id == str(row.public_id)
    )
    for target_name, changes in current.execute(query.order_by(AuditEntry.id)):
        names.append(target_name)
        names += _sides(changes.get("name"))
        emails += _sides(changes.get("email"))
    return {"names": _each_once(names), "emails": _each_once(emails)}


def person_of(current: Session, erasure: Erasure, row: Staff | User) -> KnownPerson:
    """Return the person of a stored erasure."""
    known_as = erasure.known_as or {}
    person = _person(current, row, label_of(erasure), known_as)
    # Erasures from before `sought` was stored look for all texts.
    return replace(person, sought=tuple(known_as.get("sought", person.texts)))


def person_to_be(current: Session, row: Staff | User) -> KnownPerson:
    """Return the person as an erasure would look for them, without a label yet."""
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
    """Return the texts as written in plain text and in JSON."""
    return list(dict.fromkeys(form for text in texts for form in (text, json.dumps(text)[1:-1])))
