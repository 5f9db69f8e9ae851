"""The long work of an erasure: one table after the other, a stretch of it in each transaction.

Done twice it changes nothing more; killed at any instant it continues where it was. What is
append-only lets names change until the last transaction says that the erasure is finished.
"""

from typing import Any, Final

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.orm import Session

from portal.extensions import Base
from portal.lib.clock import common_now
from portal.models.assignments import Staff
from portal.models.audit import ErasedKind, Erasure
from portal.models.people import User
from portal.models.tasks import Task
from portal.services import audit, tasks
from portal.services.core.unit_of_work import session
from portal.services.erasure.person import TARGETS, KnownPerson, person_of
from portal.services.erasure.places import NameTable, places_of
from portal.services.tasks import Kind, Step

NAME: Final = "erasure"
PERMISSION: Final = "people.erase"


def row_of(current: Session, kind: ErasedKind, person_id: int) -> Staff | User:
    """The person's own row; it stays, for others refer to it."""
    if kind is ErasedKind.STAFF:
        return current.get_one(Staff, person_id)
    return current.get_one(User, person_id)


def step(current: Session, task: Task) -> Step:
    """Take the person out of the next stretch of a table; at the end, say that it is done."""
    erasure = current.get_one(Erasure, task.params["erasure_id"], with_for_update=True)
    if erasure.finished_at is not None:
        return tasks.DONE
    kind = ErasedKind(erasure.kind)
    row = row_of(current, kind, erasure.person_id)
    places = places_of(kind)
    number, after = task.cursor.get("place", 0), task.cursor.get("after", 0)
    while number < len(places):
        last = _end_of_stretch(current, places[number], after)
        if last is not None:
            stretch = (after, last)
            _take_out(current, erasure, places[number], person_of(current, erasure, row), stretch)
            task.cursor, task.done = {"place": number, "after": last}, number
            return tasks.MORE
        number, after = number + 1, 0
    _finish(current, task, erasure, row)
    task.done = task.total
    return tasks.DONE


def count(person: KnownPerson) -> dict[str, int]:
    """How many rows of which table name the person now. Reads only."""
    current = session()
    found = {}
    for place in places_of(person.kind):
        wanted = select(func.count()).select_from(place.model).where(place.names(person))
        if rows := current.execute(wanted).scalar_one():
            found[place.table] = rows
    return found


def _end_of_stretch(current: Session, place: NameTable, after: int) -> int | None:
    """The key at which the next stretch ends; None behind the last row."""
    some = select(place.key).where(place.key > after).distinct().order_by(place.key)
    found = some.limit(place.most).subquery()
    last: int | None = current.scalar(select(func.max(found.c[0])))
    return last


def _take_out(
    current: Session,
    erasure: Erasure,
    place: NameTable,
    person: KnownPerson,
    stretch: tuple[int, int],
) -> None:
    after, last = stretch
    fields = place.fields_of(person.kind)
    keys = (place.key, *place.rest)
    values = [field.column.label(f"value_{n}") for n, field in enumerate(fields)]
    named = [field.names(person).label(f"is_{n}") for n, field in enumerate(fields)]
    inside = place.key > after, place.key <= last, place.names(person)
    wanted = select(*(key.label(f"key_{n}") for n, key in enumerate(keys)), *values, *named)
    locked = wanted.where(*inside).order_by(*keys).with_for_update()
    rows = current.execute(locked).mappings().all()
    changed = 0
    for row in rows:
        before_it = {field.column.key: row[f"value_{n}"] for n, field in enumerate(fields)}
        after_it = dict(before_it)
        for n, field in enumerate(fields):
            if row[f"is_{n}"]:
                after_it[field.column.key] = field.erased(person, after_it[field.column.key])
        differences = {name: new for name, new in after_it.items() if new != before_it[name]}
        if differences:
            _store(current, place, [row[f"key_{n}"] for n in range(len(keys))], differences)
            changed += 1
    if changed:
        so_far = erasure.counts.get(place.table, 0)
        erasure.counts = {**erasure.counts, place.table: so_far + changed}


def _store(
    current: Session, place: NameTable, keys: list[int], differences: dict[str, Any]
) -> None:
    table = Base.metadata.tables[place.table]
    names = [key.key for key in (place.key, *place.rest)]
    mine = [table.c[name] == bindparam(f"its_{name}") for name in names]
    values = {f"its_{name}": key for name, key in zip(names, keys, strict=True)}
    current.connection().execute(update(table).where(*mine), values | differences)


def _finish(current: Session, task: Task, erasure: Erasure, row: Staff | User) -> None:
    erasure.finished_at, erasure.known_as = common_now(), None
    kind = TARGETS[ErasedKind(erasure.kind)]
    rows = {"rows": {"from": None, "to": sum(erasure.counts.values())}}
    target = (kind, row.public_id, row.name)
    audit.record(current, tasks.actor_of(task), f"{kind}.erased", target=target, changes=rows)


KIND: Final = Kind(name=NAME, permission=PERMISSION, step=step, can_stop=False)
