"""Merge a category, a location, or a spelling of a supplier or manufacturer into another one.

A task changes each asset in the usual way, with its own event and audit entry. It also moves assets
that get the merged value in the meantime. A category or location is deleted in the transaction that
finds no more references to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, literal_column, select, tuple_, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from portal.engine.events.body import Origin
from portal.lib.paging import Cursor, Page
from portal.lib.typed_text import harmless
from portal.models.assets import Asset
from portal.models.tasks import IS_UNDER_WAY, Task, TaskState
from portal.services import audit, tasks
from portal.services.actions import lifecycle
from portal.services.alerts import settings as alert_settings
from portal.services.assets import named_lists
from portal.services.assets.named_lists import CATEGORIES, LOCATIONS, NamedList
from portal.services.core.keyset import one_more, page_at
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import NotFound, Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.csv import import_matches
from portal.services.tasks import Kind, Step

NAME: Final = "merge"
PERMISSION: Final = "assets.edit"
CHANGED: Final = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mergeable:
    """A field of assets whose values can be merged.

    With `listed`, values are rows of this list and have public ids. Otherwise they are spellings.
    """

    field: str
    one: str
    column: InstrumentedAttribute[Any]
    listed: NamedList | None = None

    def used_by(self, value: object) -> ColumnElement[bool]:
        return and_(self.column == value, Asset.deleted_at.is_(None))


FIELDS: Final[Mapping[str, Mergeable]] = {
    **{
        kind.one: Mergeable(field=kind.one, one=kind.one, column=kind.used_by, listed=kind)
        for kind in (CATEGORIES, LOCATIONS)
    },
    "supplier": Mergeable(field="supplier", one="supplier", column=Asset.supplier),
    "manufacturer": Mergeable(field="manufacturer", one="manufacturer", column=Asset.manufacturer),
}


@dataclass(frozen=True, slots=True)
class Merge:
    """One merge, as its task stores it.

    `source` and `target` are values of the assets' column. `target_id` is the public id of a row.
    `deletes` means that a person requested a deletion.
    """

    field: str
    source: Any
    source_name: str
    target: Any
    target_name: str
    target_id: str = ""
    deletes: bool = False

    @property
    def of(self) -> Mergeable:
        return FIELDS[self.field]


@dataclass(frozen=True, slots=True)
class Subject:
    """The value to merge, with the number of assets that have it.

    `obstacle` is the reason why it can't be merged. `webhooks` has (public id, name) of webhooks
    whose conditions name it. `others` has (key, name) of possible targets.
    """

    name: str
    assets: int
    obstacle: str
    webhooks: Sequence[tuple[UUID, str]]
    others: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Spelling:
    """One spelling with the number of assets that have it."""

    name: str
    assets: int


def of_task(task: Task) -> Merge:
    """Return the merge that a task stores."""
    return Merge(**task.params)


def spellings(field: str, cursor: str | None = None) -> Page[Spelling]:
    """Return one page of the spellings in use, in alphabetical order."""
    column = FIELDS[field].column
    key = (func.lower(column), column)
    query = _spelt(column).add_columns(func.count(), key[0])

    def read(place: Cursor | None) -> Sequence[Any]:
        is_up = place is None or not place.newer
        lines = query.order_by(*(key if is_up else (part.desc() for part in key)))
        if place is not None:
            here, there = tuple_(*key), tuple_(*place.key)
            lines = lines.where(here > there if is_up else here < there)
        return session().execute(lines.limit(one_more())).all()

    place = Cursor.decode(cursor, (str, str))
    page = page_at(read, place, lambda line: (line[2], line[0]))
    return Page([Spelling(*line[:2]) for line in page.rows], page.newer, page.older)


def subject(what: Mergeable, key: str) -> Subject:
    """Return the value to merge, for its page. Raises `NotFound`."""
    value, name = _source(what, key)
    used = select(func.count()).where(what.used_by(value))
    return Subject(
        name=name,
        assets=session().execute(used).scalar_one(),
        obstacle=_obstacle(what, value, name),
        webhooks=_naming(what, value),
        others=[other for other in _all(what) if other[0] != key],
    )


def start(
    actor: Actor, what: Mergeable, source: str, target: str, *, deletes: bool = False
) -> UUID:
    """Start a task that replaces `source` with `target`, and return its public id.

    `deletes` means that a person requested a deletion.
    """
    with writing() as current:
        require(current, actor, PERMISSION)
        # If two requests arrive at once, the second finds the task the first one started.
        alert_settings.locked(current)
        merge = replace(_merge(what, source, target), deletes=deletes)
        if obstacle := _obstacle(what, merge.source, merge.source_name):
            raise Refusal(obstacle)
        _refuse_crossing(current, merge)
        total = current.execute(select(func.count()).where(what.used_by(merge.source))).scalar_one()
        return tasks.start(current, actor, NAME, total=total, params=asdict(merge)).public_id


def _spelt(column: InstrumentedAttribute[Any]) -> Any:
    return select(column).where(column != "", Asset.deleted_at.is_(None)).group_by(column)


def _all(what: Mergeable) -> list[tuple[str, str]]:
    if what.listed:
        return [(str(public_id), name) for _, public_id, name in named_lists.choices(what.listed)]
    by_letters = _spelt(what.column).order_by(func.lower(what.column), what.column)
    return [(name, name) for name in session().scalars(by_letters)]


def _source(what: Mergeable, key: str) -> tuple[Any, str]:
    if what.listed:
        row = named_lists.find(what.listed, UUID(key))
        return row.id, row.name
    if not _is_spelt(what, key):
        raise NotFound(f"No asset has the {what.one} “{key}” now.")
    return key, key


def _merge(what: Mergeable, source: str, target: str) -> Merge:
    value, name = _source(what, source)
    if source == target:
        sentence = f"Choose another {what.one}. You can’t merge “{name}” into itself"
        raise Refusal(sentence, field="into")
    try:
        into, into_name = _source(what, target)
    except (NotFound, ValueError):
        gone = "This one was deleted" if what.listed else "No asset has this one now"
        raise Refusal(f"Choose another {what.one}. {gone}", field="into") from None
    return Merge(what.field, value, name, into, into_name, target if what.listed else "")


def _is_spelt(what: Mergeable, name: str) -> bool:
    if harmless(name) != name:  # no asset can have it, and no database can read it
        return False
    query = select(Asset.id).where(what.used_by(name)).limit(1)
    return session().execute(query).first() is not None


def _obstacle(what: Mergeable, value: Any, name: str) -> str:
    """Return why the value can't be merged, or "".

    A merge doesn't change conditions, because receivers would get events of other assets.
    """
    webhooks = [webhook for _, webhook in _naming(what, value)]
    return named_lists.in_conditions(name, webhooks, "merge") if webhooks else ""


def _naming(what: Mergeable, value: Any) -> list[tuple[UUID, str]]:
    return named_lists.naming(what.listed, value) if what.listed else []


def _refuse_crossing(current: Session, merge: Merge) -> None:
    """Refuse while another merge uses this merge's source or removes its target."""
    under_way = select(Task).where(Task.kind == NAME, literal_column(f"({IS_UNDER_WAY})"))
    for task in current.scalars(under_way):
        other = of_task(task)
        other_values = (other.source, other.target)
        if other.field == merge.field and (
            merge.source in other_values or merge.target == other.source
        ):
            raise Refusal(
                f"{task.actor_name} is merging “{other.source_name}” into “{other.target_name}”. "
                "Wait until this finishes, then try again."
            )


def _step(current: Session, task: Task) -> Step:
    merge, after = of_task(task), task.cursor.get("id", 0)
    refusal = tasks.refusal_of(current, partial(require, current, _actor(task), PERMISSION))
    if refusal:
        return _end(task, refusal.sentence)
    if not _is_target_there(current, merge):
        return _end(task, f"“{merge.target_name}” was deleted in the meantime.")
    used = select(Asset.id).where(merge.of.used_by(merge.source), Asset.id > after)
    ids = current.scalars(used.order_by(Asset.id).limit(tasks.ROWS)).all()
    for asset_id in tasks.few(ids):
        refusal = tasks.refusal_of(current, partial(_move, task, merge, asset_id))
        # An asset deleted in the meantime is changed at the end, with all deleted ones.
        if refusal and not isinstance(refusal, NotFound):
            return _end(task, refusal.sentence)
        task.cursor = {"id": asset_id}
    task.total = max(task.total, task.done)
    if ids:
        return tasks.MORE
    if after:  # again from the first, for assets that came in behind the cursor
        task.cursor = {}
        return tasks.MORE
    return _conclude(current, task, merge)


def _move(task: Task, merge: Merge, asset_id: int) -> None:
    remark = f"“{merge.source_name}” was merged into “{merge.target_name}”"
    change = (merge.source, merge.target)
    if lifecycle.replace_value(_actor(task), asset_id, merge.of.column.key, change, remark):
        task.count(CHANGED)


def _actor(task: Task) -> Actor:
    return replace(tasks.actor_of(task, Origin.BULK), batch_id=task.public_id)


def _is_target_there(current: Session, merge: Merge) -> bool:
    """Return whether the target exists, and lock it against deletion during this step."""
    if not merge.of.listed:
        return True
    locked = {"read": True, "key_share": True}
    return current.get(merge.of.listed.model, merge.target, with_for_update=locked) is not None


def _conclude(current: Session, task: Task, merge: Merge) -> Step:
    """Delete the merged value, if nothing refers to it now."""
    kind, column = merge.of.listed, merge.of.column
    row: Any = None
    if kind:  # keeps assets and conditions from choosing it until this transaction ends
        row = current.get(kind.model, merge.source, with_for_update=True, populate_existing=True)
        if row is None:
            return tasks.DONE  # it was empty, and someone deleted it
    if current.execute(select(Asset.id).where(merge.of.used_by(merge.source)).limit(1)).first():
        return tasks.MORE
    if obstacle := _obstacle(merge.of, merge.source, merge.source_name):
        return _end(task, obstacle)
    deleted = update(Asset).where(column == merge.source, Asset.deleted_at.is_not(None))
    current.execute(deleted.values({column.key: merge.target}))
    target: tuple[str, object, str] = ("spelling", task.public_id, merge.of.one.capitalize())
    if row is not None:
        # Not for spellings, because imports take suppliers as they are in the file.
        import_matches.rename_word(current, merge.field, merge.source_name, merge.target_name)
        target = (merge.field, row.public_id, row.name)
        current.delete(row)
    changes = {merge.field: {"from": merge.source_name, "to": merge.target_name}}
    audit.record(current, _actor(task), f"{target[0]}.merged", target=target, changes=changes)
    current.flush()
    task.total = task.done
    return tasks.DONE


def _end(task: Task, sentence: str) -> Step:
    task.error = sentence
    return Step(TaskState.FAILED)


KIND: Final = Kind(name=NAME, permission=PERMISSION, step=_step)
