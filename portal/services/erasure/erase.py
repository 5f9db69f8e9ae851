"""Erase a person by renaming and locking them out immediately, then clearing the history in a task.

The task goes through the tables one by one, with a batch of rows in each transaction. It is
idempotent, and resumes where it was if killed. Append-only tables allow name changes until the last
transaction marks the erasure as finished.

No event is sent. None of the 21 kinds is about people, and people who hold or have reserved an
asset can't be erased, so that no asset changes. Stored bodies are not rewritten.
"""

from collections.abc import Collection
from typing import Final
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from portal.extensions import Base
from portal.lib.clock import common_now
from portal.models.assignments import Staff
from portal.models.audit import ErasedKind, Erasure
from portal.models.people import User
from portal.models.tasks import Task
from portal.services import audit, tasks
from portal.services.alerts import settings as alert_settings
from portal.services.assets import staff
from portal.services.core.erasures import find_erasure, label_of, stuck_erasures
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import NotFound, Refusal, Stale
from portal.services.core.unit_of_work import session, writing
from portal.services.erasure.person import TARGETS, KnownPerson, person_of, person_to_be
from portal.services.erasure.places import NameTable, places_of
from portal.services.mail import mails
from portal.services.people import accounts
from portal.services.tasks import Kind, Step
from portal.services.webhooks import rows, watches

NAME: Final = "erasure"
PERMISSION: Final = "people.erase"


def erase(
    actor: Actor,
    kind: ErasedKind,
    public_id: UUID,
    version: int,
    typed: str,
    sought: Collection[str] | None = None,
) -> int:
    """Start to erase a person and return the number that replaces their name.

    `version` is the version that the form showed. `typed` is the person's email address, typed to
    prevent mistakes. `sought` are the names and addresses to look for inside longer texts, by
    default the usual ones. Raises `Refusal` for oneself, the last administrator, and people who
    hold or have reserved an asset.
    """
    with writing() as current:
        row = _shut_out(current, actor, kind, public_id)
        if row.version != version + 1:  # locking the person out added 1
            raise Stale(
                f"{row.name}’s details changed after you opened this page. Check the page again."
            )
        if typed.strip().casefold() != row.email.casefold():
            raise Refusal("Enter the email address exactly as shown above", field="typed")
        person = person_to_be(current, row)
        sought = person.usual if sought is None else sought
        if not set(sought) <= set(person.texts):
            raise Refusal("Choose names and addresses from the list", field="sought")
        erasure = Erasure(kind=kind, person_id=row.id, by_id=actor.user_id)
        # Immediately, not with the history, so that nothing more is emailed to these addresses.
        alert_settings.forget_addresses(current, person.emails)
        mails.forget_addresses(current, person.emails)
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
        _begin_work(current, actor, erasure)
        return erasure.id


def resume(actor: Actor, kind: ErasedKind, public_id: UUID) -> None:
    """Restart the task of a stuck erasure. Finished parts do not change again."""
    with writing() as current:
        require(current, actor, PERMISSION)
        erasure = find_erasure(current, kind, find(kind, public_id).id)
        if erasure is None:
            raise NotFound("There’s no erasure for this person.")
        if is_stuck(erasure):
            _begin_work(current, actor, erasure)


def find(kind: ErasedKind, public_id: UUID) -> Staff | User:
    """Return the person's row. Raises `NotFound`."""
    row: Staff | User | None
    if kind is ErasedKind.STAFF:
        row = session().scalar(select(Staff).where(Staff.public_id == public_id))
    else:
        row = session().scalar(select(User).where(User.public_id == public_id))
    if row is None:
        raise NotFound("We couldn’t find this person.")
    return row


def is_stuck(erasure: Erasure) -> bool:
    """Return whether the erasure is unfinished and no task works on it."""
    return erasure in stuck_erasures(session())


def count(person: KnownPerson) -> dict[str, int]:
    """Count the rows that currently name the person, by table. Read-only."""
    counts = {}
    for place in places_of(person.kind):
        rows = select(func.count()).select_from(place.model).where(place.names(person))
        if number := session().execute(rows).scalar_one():
            counts[place.table] = number
    return counts


def step(current: Session, task: Task) -> Step:
    """Remove the person from the next batch of a table, or finish the erasure after the last."""
    erasure = current.get_one(Erasure, task.params["erasure_id"], with_for_update=True)
    if erasure.finished_at is not None:
        return tasks.DONE
    kind = ErasedKind(erasure.kind)
    # The person's own row stays because other rows refer to it.
    row: Staff | User = (
        current.get_one(Staff, erasure.person_id)
        if kind is ErasedKind.STAFF
        else current.get_one(User, erasure.person_id)
    )
    places = places_of(kind)
    number, after = task.cursor.get("place", 0), task.cursor.get("after", 0)
    while number < len(places):
        last = _end_of_batch(current, places[number], after)
        if last is not None:
            person = person_of(current, erasure, row)
            _take_out(current, erasure, places[number], person, after, last)
            task.cursor, task.done = {"place": number, "after": last}, number
            return tasks.MORE
        number, after = number + 1, 0
    erasure.finished_at, erasure.known_as = common_now(), None
    changes = audit.added({"rows": sum(erasure.counts.values())})
    target = (TARGETS[kind], row.public_id, row.name)
    action = f"{TARGETS[kind]}.erased"
    audit.record(current, tasks.actor_of(task), action, target=target, changes=changes)
    task.done = task.total
    return tasks.DONE


KIND: Final = Kind(name=NAME, permission=PERMISSION, step=step, can_stop=False)


def _shut_out(current: Session, actor: Actor, kind: ErasedKind, public_id: UUID) -> Staff | User:
    """Lock and deactivate the person, so that they can't act in the meantime. Raises `Refusal`."""
    if kind is ErasedKind.STAFF:
        return staff.deactivate_for_erasure(current, actor, public_id)
    user = accounts.close(current, actor, public_id)
    rows.remove_drafts_of(current, user.id)
    watches.forget(current, user.id)
    return user


def _begin_work(current: Session, actor: Actor, erasure: Erasure) -> None:
    total = len(places_of(ErasedKind(erasure.kind)))
    params = {"erasure_id": erasure.id}
    task = tasks.start(current, actor, NAME, total=total, params=params)
    erasure.task_public_id = task.public_id


def _end_of_batch(current: Session, place: NameTable, after: int) -> int | None:
    """Return the last key of the next batch, or None after the last row."""
    keys = select(place.key).where(place.key > after).distinct().order_by(place.key)
    batch = keys.limit(place.most).subquery()
    last: int | None = current.scalar(select(func.max(batch.c[0])))
    return last


def _take_out(
    current: Session, erasure: Erasure, place: NameTable, person: KnownPerson, after: int, last: int
) -> None:
    """Replace the person's names in the rows with keys after `after`, up to `last` inclusive."""
    table, keys = Base.metadata.tables[place.table], place.keys
    fields = place.fields_of(person.kind)
    flags = (field.names(person).label(f"is_{n}") for n, field in enumerate(fields))
    rows = (
        select(*keys, *(field.column for field in fields), *flags)
        .where(place.key > after, place.key <= last, place.names(person))
        .order_by(*keys)
        .with_for_update()
    )
    changed = 0
    for row in current.execute(rows).all():
        values = row[len(keys) :]
        before = {field.column.key: value for field, value in zip(fields, values, strict=False)}
        now = dict(before)
        for field, names_person in zip(fields, values[len(fields) :], strict=True):
            if names_person:
                now[field.column.key] = field.erased(person, now[field.column.key])
        if now != before:
            own = [key == value for key, value in zip(keys, row, strict=False)]
            differences = {name: value for name, value in now.items() if value != before[name]}
            current.connection().execute(update(table).where(*own).values(differences))
            changed += 1
    if changed:
        so_far = erasure.counts.get(place.table, 0)
        erasure.counts = {**erasure.counts, place.table: so_far + changed}
