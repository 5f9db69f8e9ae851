"""Erase a person: shut out and renamed at once, then taken out of the history by long work.

No event is sent: none of the 21 kinds tells of people, and nobody is erased who holds or has
reserved an asset, so that no asset changes with it. Stored bodies are not rewritten.
"""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.models.assignments import Staff
from portal.models.audit import ErasedKind, Erasure
from portal.models.people import User
from portal.services import audit, tasks
from portal.services.assets import staff
from portal.services.core.erasures import find_erasure, label_of, stuck_erasures
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import NotFound, Refusal, Stale
from portal.services.core.unit_of_work import session, writing
from portal.services.erasure import walk
from portal.services.erasure.person import TARGETS, person_to_be
from portal.services.erasure.places import places_of
from portal.services.people import accounts
from portal.services.webhooks import rows


def erase(
    actor: Actor,
    kind: ErasedKind,
    public_id: UUID,
    version: int,
    typed: str,
    sought: Collection[str] | None = None,
) -> int:
    """Begin to erase this person; the number that stands in place of the name.

    `version`: as the form showed the person. `typed`: the person's e-mail address, so that nobody
    is erased by a slip. `sought`: which names and addresses are looked for inside longer texts;
    the usual ones where nobody chose. Refused for oneself, for the last administrator, and for
    whoever holds or has reserved an asset.
    """
    with writing() as current:
        row = _shut_out(current, actor, kind, public_id)
        if row.version != version + 1:  # by one for being shut out
            raise Stale(f"{row.name} was changed since you opened the form. Read it again.")
        if typed.strip().casefold() != row.email.casefold():
            raise Refusal("Type the e-mail address exactly as it stands above", field="typed")
        person = person_to_be(current, row)
        sought = person.usual if sought is None else sought
        if not set(sought) <= set(person.texts):
            raise Refusal("Choose among the names and addresses in the list", field="sought")
        erasure = Erasure(kind=kind, person_id=row.id, by_id=actor.user_id)
        erasure.known_as = {"names": person.names, "emails": person.emails, "sought": list(sought)}
        current.add(erasure)
        current.flush()
        row.name = row.email = label_of(erasure)
        if isinstance(row, Staff):
            row.employee_no = row.department = row.phone = None
        else:
            row.password_hash, row.time_zone = "", None
        target = (TARGETS[kind], row.public_id, row.name)
        audit.record(current, actor, f"{TARGETS[kind]}.erasure_started", target=target)
        _have_done(current, actor, erasure)
        return erasure.id


def resume(actor: Actor, kind: ErasedKind, public_id: UUID) -> None:
    """Begin the long work again where it ended before its time; what is done is passed over."""
    with writing() as current:
        require(current, actor, walk.PERMISSION)
        erasure = find_erasure(current, kind, find(kind, public_id).id)
        if erasure is None:
            raise NotFound("Nobody is being erased here.")
        if is_stuck(erasure):
            _have_done(current, actor, erasure)


def find(kind: ErasedKind, public_id: UUID) -> Staff | User:
    """The person's row. Raises `NotFound`."""
    row: Staff | User | None
    if kind is ErasedKind.STAFF:
        row = session().scalar(select(Staff).where(Staff.public_id == public_id))
    else:
        row = session().scalar(select(User).where(User.public_id == public_id))
    if row is None:
        raise NotFound("There is no such person.")
    return row


def is_stuck(erasure: Erasure) -> bool:
    """Whether it is not finished and nobody works at it any more."""
    return erasure in stuck_erasures(session())


def _shut_out(current: Session, actor: Actor, kind: ErasedKind, public_id: UUID) -> Staff | User:
    """Lock the person's row, refuse what stands in the way, and let nothing be done meanwhile."""
    if kind is ErasedKind.STAFF:
        return staff.let_go(current, actor, public_id)
    user = accounts.close(current, actor, public_id)
    rows.remove_drafts_of(current, user.id)
    return user


def _have_done(current: Session, actor: Actor, erasure: Erasure) -> None:
    total = len(places_of(ErasedKind(erasure.kind)))
    params = {"erasure_id": erasure.id}
    task = tasks.start(current, actor, walk.NAME, total=total, params=params)
    erasure.task_public_id = task.public_id
