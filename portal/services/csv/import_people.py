"""Find the people of a file: by email address, or by a name that only one of them has."""

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
    """No one is called so, and an address is missing."""


def said(text: str) -> StaffValues:
    """Return the person of a cell; who has no name there gets that of their address."""
    both = BOTH.fullmatch(text)
    if both:
        return StaffValues(name=both["name"].strip(), email=tidy_email(both["email"]))
    if not is_email(text):
        return StaffValues(name=text, email="")
    parts = re.split(r"[._+-]+", text.partition("@")[0])
    name = " ".join(part.capitalize() for part in parts if part)
    return StaffValues(name=name or text, email=tidy_email(text))


def key_of(text: str) -> str:
    """Return what a person's words are counted and remembered by. A name is no key, so that an
    erasure, which changes values, leaves none behind."""
    return hashlib.sha256(text.lower().encode()).hexdigest()


def find(current: Session, text: str) -> Staff | None:
    """Return the person; None where nobody is like that."""
    who = said(text)
    if who.email:
        return current.scalar(select(Staff).where(func.lower(Staff.email) == func.lower(who.email)))
    same = select(Staff).where(func.lower(Staff.name) == func.lower(who.name))
    rows = current.scalars(same.order_by(Staff.is_active.desc(), Staff.id).limit(2)).all()
    if len(rows) > 1 and rows[1].is_active:
        sentence = f"Enter the email address. More than one person is called {who.name[:120]}"
        raise Refusal(sentence)
    return rows[0] if rows else None


def to_add(text: str) -> str:
    """Return the words for somebody who can be added. Refuses a name without an address."""
    who = said(text)
    if not is_email(who.email):
        sentence = f"Enter the email address too, such as {who.name[:40]} <maria@example.com>"
        raise UnknownPerson(f"No one on the staff list is called {who.name[:120]}. {sentence}")
    return f"{who.name} <{who.email}>"
