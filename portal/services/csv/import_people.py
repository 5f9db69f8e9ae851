"""Find the people named in a file, by email address or by a unique name."""

import hashlib
import re
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.lib.typed_values import is_email, tidy_email
from portal.models.assignments import Staff
from portal.services.assets.staff import StaffValues
from portal.services.core.refusals import Refusal

# Maria Lopez <maria@example.com>, as mail programs and this import write it.
BOTH: Final = re.compile(r"(?P<name>[^<>@]{1,120}) ?<(?P<email>[^<>\s]{1,254})>")


class UnknownPerson(Refusal):
    """A refusal because no one has this name and no address is given."""


def said(text: str) -> StaffValues:
    """Return the person named in a cell. Without a name, it is derived from the address."""
    match = BOTH.fullmatch(text)
    if match:
        return StaffValues(name=match["name"].strip(), email=tidy_email(match["email"]))
    if not is_email(text):
        return StaffValues(name=text, email="")
    parts = re.split(r"[._+-]+", text.partition("@")[0])
    name = " ".join(part.capitalize() for part in parts if part)
    return StaffValues(name=name or text, email=tidy_email(text))


def key_of(text: str) -> str:
    """Return the hash under which a person's text is counted and remembered.

    An erasure only changes values, so a name used as a key would remain.
    """
    return hashlib.sha256(text.lower().encode()).hexdigest()


def find(current: Session, text: str) -> Staff | None:
    """Return the person, or None if no one matches. Raises `Refusal` for an ambiguous name."""
    values = said(text)
    if values.email:
        return current.scalar(
            select(Staff).where(func.lower(Staff.email) == func.lower(values.email))
        )
    same = select(Staff).where(func.lower(Staff.name) == func.lower(values.name))
    rows = current.scalars(same.order_by(Staff.is_active.desc(), Staff.id).limit(2)).all()
    if len(rows) > 1 and rows[1].is_active:
        sentence = f"Enter the email address. More than one person is called {values.name[:120]}"
        raise Refusal(sentence)
    return rows[0] if rows else None


def to_add(text: str) -> str:
    """Return the person as "name <email>". Raises `UnknownPerson` for a name without an address."""
    values = said(text)
    if not is_email(values.email):
        sentence = f"Enter the email address too, such as {values.name[:40]} <maria@example.com>"
        raise UnknownPerson(f"No one on the staff list is called {values.name[:120]}. {sentence}")
    return f"{values.name} <{values.email}>"
