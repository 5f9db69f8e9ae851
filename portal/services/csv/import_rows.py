"""Plan one row of an import and carry it out, inside `writing()`."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Any, Final, TypeVar

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.engine.events import body
from portal.engine.events.body import Holder
from portal.lib.clock import utcnow
from portal.lib.typed_text import excerpts
from portal.lib.typed_values import (
    OtherCurrencyError,
    TypedValueError,
    read_amount,
    read_count,
    read_day,
    without_currency,
)
from portal.models.assets import (
    Action,
    Asset,
    AssetKind,
    AssetStatus,
)
from portal.models.assignments import Assignment, Staff
from portal.services.actions import assignments, lifecycle
from portal.services.actions.planning import queries as planning_queries
from portal.services.actions.rules import why_not
from portal.services.assets import named_lists
from portal.services.assets import staff as staff_list
from portal.services.assets.fields import (
    ASSET_FIELDS,
    MOST_IN_STOCK,
    AssetField,
    AssetValues,
    FieldType,
    faults,
)
from portal.services.assets.snapshots import fields_of, open_assignment, ref
from portal.services.assets.tag_numbers import holder_of_serial, next_tag, refuse_taken
from portal.services.core.permissions import Actor
from portal.services.core.refusals import Fault, Refusal
from portal.services.csv import import_people
from portal.services.csv.export import HOLDER_COLUMN
from portal.services.csv.import_readings import READ, Readings

V = TypeVar("V")
Cells = Mapping[str, str]
MOST_NAMES: Final = 100  # names counted per list, while rows of all others are counted together
OTHERS: Final = ""
SINGLE: Final = "single"  # rows with a quantity for a single item, which has none
COUNTED: Final = "counted"  # rows with a quantity for stock that only its moves change
PERSON: Final = "person"  # the key of an added person
STOCK_NOTES: Final = ("quantity", "min_quantity", "unit")

FAULTS: Final = "faults"  # the key of the cells' fault counts, by sort and column
UNDECIDED: Final = "undecided"  # a reading that matches no text

Notes = dict[str, Any]


class FaultSort(StrEnum):
    """The sorts of cell faults, each with its own remedy."""

    UNREAD = "unread"  # not a valid value, or not by the reading of its column
    CURRENCY = "currency"
    UNKNOWN = "unknown"  # a person given only by an unknown name
    TWICE = "twice"  # repeated in the file
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class CellFault(Fault):
    """One fault of a row, in one of our columns or, if `field` is blank, of the whole row."""

    sort: FaultSort = FaultSort.OTHER


class RowRefused(Refusal):
    """A refusal of a row with all its faults."""

    faults: Sequence[CellFault]

    def __init__(self, faults: Sequence[CellFault]) -> None:
        super().__init__(". ".join(fault.sentence for fault in faults))
        self.faults = faults


class Faults(list[CellFault]):
    """The faults of a row found so far."""

    def noting(self, field: str, do: Callable[[], V]) -> V | None:
        """Return the result of `do`, or None after adding its refusal as a fault."""
        try:
            return do()
        except UnreadCell as refused:
            self.append(CellFault(field, refused.sentence, refused.sort))
        except import_people.UnknownPerson as refused:
            self.append(CellFault(field, refused.sentence, FaultSort.UNKNOWN))
        except Refusal as refused:
            self.append(CellFault(refused.field or field, refused.sentence))
        return None


class UnreadCell(Refusal):
    """A refusal of a cell's text as a value of its column."""

    def __init__(self, sentence: str, sort: FaultSort = FaultSort.UNREAD) -> None:
        super().__init__(sentence)
        self.sort = sort


def with_notes(notes: Notes, adds: Mapping[str, str], kind: str, left_out: Cells) -> Notes:
    """Return the notes with those of one more row added."""
    after = deepcopy(notes)
    for called, name in adds.items():
        names = after.setdefault(called, {})
        key = import_people.key_of(name) if called == PERSON else name.lower()
        if key not in names and len(names) >= MOST_NAMES:
            key = OTHERS
        spelt, count = names.get(key, (name if key else OTHERS, 0))
        names[key] = [spelt, count + 1]
    if left_out:
        called = SINGLE if kind == AssetKind.ITEM else COUNTED
        after[called] = after.get(called, 0) + 1
    return after


def with_faults(notes: Notes, faults: Iterable[CellFault]) -> Notes:
    """Return the notes with one more row's faults added, counted by sort and column."""
    counted = dict(notes.get(FAULTS, {}))
    for key in {f"{fault.sort}:{fault.field}" for fault in faults}:
        counted[key] = counted.get(key, 0) + 1
    return {**notes, FAULTS: counted}


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """Options for a file: whether it changes existing assets, and how to read dates and amounts.

    `currency` is the only accepted currency.
    """

    change_existing: bool
    readings: Readings = field(default_factory=dict)
    currency: str = ""

    def reading_of(self, column: AssetField) -> str:
        """Return the column's reading. If undecided, it rejects ambiguous texts."""
        return self.readings.get(column.name, UNDECIDED)


def left_out(values: AssetValues, cells: Cells) -> dict[str, str]:
    """Return the cells of a row that are ignored for an asset with these values."""
    texts = {name: cells[name] for name in STOCK_NOTES if cells.get(name)}
    quantity = texts.get("quantity", "")
    if values.kind == AssetKind.ITEM:  # an item always counts as 1
        return {name: text for name, text in texts.items() if (name, text) != ("quantity", "1")}
    is_same = not quantity or quantity.lstrip("0") == str(values.quantity or "")
    return {} if is_same else {"quantity": quantity}


def remark(left_out: Cells) -> str:
    """Return the ignored cells in words, or "" if there are none."""
    cells = ", ".join(f"{name} {text[:40]}" for name, text in left_out.items())
    return f"Left out: {cells}" if cells else ""


YES: Final = frozenset({"yes", "y", "true", "1"})
NO: Final = frozenset({"no", "n", "false", "0"})


def filled(values: AssetValues, cells: Cells, options: ImportOptions, found: Faults) -> AssetValues:
    """Return `values` updated from the cells, where blank cells change nothing.

    The caller looks up category, location, and person. Kind and quantity only apply to new assets
    and are left out.
    """
    read = {}
    for column in ASSET_FIELDS:
        text = cells.get(column.name)
        if column.type in READERS and column.name not in NEW_ONLY and text:
            do = partial(READERS[column.type], column, text, options)
            value = found.noting(column.name, do)
            if value is not None:
                read[column.name] = value
    return replace(values, **read)


def read_values(cells: Cells, options: ImportOptions) -> dict[str, date | Decimal]:
    """Return the row's dates and amounts that can be read."""
    texts = {name: cells[name] for name in READ if name in cells}
    values = filled(AssetValues(name=""), texts, options, Faults())
    return {name: getattr(values, name) for name in texts if getattr(values, name) is not None}


def kind_of(cells: Cells) -> str:
    """Return the row's kind, which is "item" by default."""
    return cells.get("kind", "").lower() or "item"


def quantity_of(cells: Cells) -> int | None:
    """Return the initial quantity of new stock, or None if blank."""
    return _count(FIELDS["quantity"], cells["quantity"]) if cells.get("quantity") else None


def _typed(column: AssetField, text: str, read: Callable[[], V]) -> V:
    """Return the value that `read` returns. Raises `UnreadCell` with the expected format."""
    try:
        return read()
    except TypedValueError as error:
        why = f". {error.why}" if error.why else ""
        sentence = f"Enter the {column.in_sentence} {error.expected}, not “{text[:40]}”{why}"
        is_other = isinstance(error, OtherCurrencyError)
        sort = FaultSort.CURRENCY if is_other else FaultSort.UNREAD
        raise UnreadCell(sentence, sort) from None


def _day(column: AssetField, text: str, options: ImportOptions) -> date:
    return _typed(column, text, lambda: read_day(text, options.reading_of(column)))


def _amount(column: AssetField, text: str, options: ImportOptions) -> Decimal:
    def read() -> Decimal:
        return read_amount(without_currency(text, options.currency), options.reading_of(column))

    return _typed(column, text, read)


def _count(column: AssetField, text: str, _options: ImportOptions | None = None) -> int:
    number = _typed(column, text, lambda: read_count(text))
    if number > MOST_IN_STOCK:
        raise UnreadCell(f"Enter a number from 0 to {MOST_IN_STOCK:,}, not “{text[:40]}”")
    return number


def _answer(_column: AssetField, text: str, _options: ImportOptions) -> bool:
    if text.lower() in YES | NO:
        return text.lower() in YES
    raise UnreadCell(f"Enter yes or no, not “{text[:40]}”")


def _choice(column: AssetField, text: str, _options: ImportOptions) -> str:
    if text.lower() in column.choices:
        return text.lower()
    raise UnreadCell(f"Enter one of {', '.join(column.choices)}, not “{text[:40]}”")


def _text(_column: AssetField, text: str, _options: ImportOptions) -> str:
    return text


FIELDS: Final = {field.name: field for field in ASSET_FIELDS}
# The functions that read a cell of each type from its column and text.
READERS: Final[Mapping[FieldType, Callable[[AssetField, str, ImportOptions], Any]]] = {
    FieldType.LINE: _text,
    FieldType.TEXT: _text,
    FieldType.CHOICE: _choice,
    FieldType.YES_NO: _answer,
    FieldType.DAY: _day,
    FieldType.MONEY: _amount,
    FieldType.COUNT: _count,
}
# Columns that only apply to rows that add an asset.
NEW_ONLY: Final = frozenset({"kind", "quantity"})

Changes = dict[str, dict[str, Any]]
LISTS: Final[Mapping[str, named_lists.NamedList]] = {
    "category": named_lists.CATEGORIES,
    "location": named_lists.LOCATIONS,
}


def changes_of(
    current: Session,
    asset: Asset,
    values: AssetValues,
    new_names: Mapping[str, str],
    staff: Staff | None,
) -> Changes:
    """Return the changes as {field: {from, to}}, with long texts cut to where they differ.

    `new_names` are the names of the category, location, and person to be added. `staff` is the new
    holder.
    """
    before = fields_of(asset)
    columns = (*lifecycle.plain_columns(asset.kind), "asset_tag")
    after = before | {name: getattr(values, name) for name in columns}
    for name, kind in LISTS.items():
        row_id = getattr(values, f"{name}_id")
        row: Any = current.get(kind.model, row_id) if row_id else None
        after[name] = ref(row)
    after |= {name: {"name": new_names[name]} for name in LISTS if name in new_names}
    if holder := _holder(staff) if staff else added_holder(new_names.get(PERSON)):
        after |= {"status": AssetStatus.ALLOCATED, "holder": holder}
    return {name: _brief(change) for name, change in body.changes(before, after)[1].items()}


def new_holder(holder: Holder | None) -> Changes:
    return body.changes({"holder": None}, {"holder": holder})[1] if holder else {}


def added_holder(said: str | None) -> Holder | None:
    """Return the person to be added, as the holder in a row's changes."""
    values = import_people.said(said) if said else None
    return Holder(0, values.name, values.email) if values else None


def _holder(staff: Staff) -> Holder:
    return Holder(staff.id, staff.name, staff.email)


def _brief(change: dict[str, Any]) -> dict[str, Any]:
    """Shorten the texts of a change. The new text is never blank, as blank cells change nothing."""
    old, new = change["from"], change["to"]
    if not isinstance(new, str):
        return change
    shown = excerpts(old or "", new)
    return {"from": shown[0] or None, "to": shown[1]}


class Verdict(StrEnum):
    """The verdicts on a row before and after the import."""

    CREATE = "create"
    UPDATE = "update"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"  # because its asset exists
    PASSED = "passed"  # skipped because a person chose so for one of its words
    ERROR = "error"
    CREATED = "created"
    UPDATED = "updated"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRow:
    """A row as the check shows it, with the id and version of its existing asset.

    `adds` are the category, location, and person to be added first. `changes` is {field: {from,
    to}}.
    """

    verdict: str
    asset_id: int | None = None
    version: int | None = None
    adds: Mapping[str, str]
    changes: Changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The plan for a row: the preview, and the values to carry it out.

    `left_out` are the ignored cells.
    """

    shown: ShownRow
    values: AssetValues
    staff_id: int | None = None
    left_out: Cells = field(default_factory=dict)


# The words that follow "This asset is".
KINDS: Final[Mapping[str, str]] = {AssetKind.ITEM: "a single item", AssetKind.STOCK: "a consumable"}
AGAIN: Final = "Check the file again"


def plan(current: Session, cells: Cells, options: ImportOptions) -> Plan:
    """Plan the row for the current register. Raises `RowRefused` with all its faults."""
    asset = existing(current, cells)
    if asset is None or options.change_existing:
        return _plan(current, asset, cells, options)
    try:
        made = _plan(current, asset, cells, options)
    except Refusal:  # the row is skipped, so its faults do not matter
        made = _no_plan(asset)
    if made.shown.verdict == Verdict.UNCHANGED:
        return made
    shown = replace(made.shown, verdict=Verdict.SKIPPED, adds={})
    return replace(made, shown=shown, left_out={})


def plan_as_shown(current: Session, cells: Cells, options: ImportOptions, shown: ShownRow) -> Plan:
    """Plan the row again with its asset locked. Raises `Refusal` if it differs from the check."""
    asset = existing(current, cells, locked=True)
    if asset is not None and shown.asset_id is None:
        raise Refusal(f"An asset with this tag was added after the check. {AGAIN}")
    if asset is None and shown.asset_id is not None:
        raise Refusal(f"The asset was deleted or its tag changed after the check. {AGAIN}")
    if asset is not None and (asset.id, asset.version) != (shown.asset_id, shown.version):
        raise Refusal(f"The asset changed after the check. {AGAIN}")
    made = _plan(current, asset, cells, options)
    if not _is_as_shown(made.shown, shown):
        raise Refusal(f"The register changed after the check. {AGAIN}")
    return made


def carry_out(current: Session, actor: Actor, made: Plan, besides: Collection[str]) -> int:
    """Carry out the plan in the caller's transaction and return the asset's id.

    `besides` are tags of other rows in the file, which a row without a tag does not get.
    """
    values, staff_id = _with_lists(actor, made), made.staff_id
    if text := made.shown.adds.get(PERSON):
        staff_id = staff_list.found_or_added(actor, import_people.said(text))
    asset_id, version = made.shown.asset_id, made.shown.version
    if asset_id is None:
        values = replace(values, asset_tag=values.asset_tag or next_tag(current, besides))
        asset_id = lifecycle.create_asset(actor, values)
    elif version is not None:
        lifecycle.edit_asset(actor, asset_id, version, values)
    if staff_id is not None:
        assignments.allocate(actor, asset_id, staff_id=staff_id)
    return asset_id


def _plan(current: Session, asset: Asset | None, cells: Cells, options: ImportOptions) -> Plan:
    found = Faults()
    found.noting("name", lambda: refuse_nameless(asset, cells))
    is_nameless = bool(found)
    values = filled(_base(asset, cells, found), cells, options, found)
    if values.kind == AssetKind.ITEM:  # items do not keep these, so they are not changes
        values = replace(values, min_quantity=None, unit=None)
    values, adds = placed(current, values, cells, found)
    wrong = [fault for fault in faults(values) if fault.field != "name" or not is_nameless]
    found += [CellFault(fault.field, fault.sentence) for fault in wrong]
    holder = found.noting(HOLDER_COLUMN, lambda: person(current, asset, values, cells))
    if isinstance(holder, str):
        adds[PERSON] = holder
    staff = holder if isinstance(holder, Staff) else None
    if asset:
        found.noting("", lambda: _refuse_disposed(asset, values, adds))
    found.noting("serial_number", lambda: refuse_taken_by_another(current, values, asset))
    if found:
        raise RowRefused(found)
    return Plan(
        shown=_shown(current, asset, values, adds, staff),
        values=values,
        staff_id=staff.id if staff else None,
        left_out=left_out(lifecycle.values_of(asset) if asset else values, cells),
    )


def _shown(
    current: Session,
    asset: Asset | None,
    values: AssetValues,
    adds: Mapping[str, str],
    staff: Staff | None,
) -> ShownRow:
    added = adds.get(PERSON)
    if asset is None:
        changes = new_holder(_holder(staff) if staff else added_holder(added))
        return ShownRow(verdict=Verdict.CREATE, adds=adds, changes=changes)
    changes = changes_of(current, asset, values, adds, staff)
    return ShownRow(
        verdict=Verdict.UPDATE if changes else Verdict.UNCHANGED,
        asset_id=asset.id,
        version=asset.version,
        adds=adds,
        changes=changes,
    )


def _no_plan(asset: Asset) -> Plan:
    shown = ShownRow(
        verdict=Verdict.SKIPPED, asset_id=asset.id, version=asset.version, adds={}, changes={}
    )
    return Plan(shown=shown, values=lifecycle.values_of(asset))


def _is_as_shown(now: ShownRow, then: ShownRow) -> bool:
    """Compare two plans, ignoring ids because another row can have added the name since."""
    is_same = now.verdict == then.verdict and now.adds.keys() <= then.adds.keys()
    return is_same and _names(now.changes) == _names(then.changes)


def _names(changes: Changes) -> dict[str, list[Any]]:
    """Return the changes without ids, and with names in lower case, as lookups ignore case."""
    return {
        name: [
            side.get("name", "").lower() if isinstance(side, Mapping) else side
            for side in (change["from"], change["to"])
        ]
        for name, change in changes.items()
    }


def _base(asset: Asset | None, cells: Cells, found: Faults) -> AssetValues:
    kind = kind_of(cells)
    if asset is None:
        if kind not in set(AssetKind):
            sentence = f"Enter item or stock, not “{kind[:40]}”"
            found.append(CellFault("kind", sentence, FaultSort.UNREAD))
            kind = AssetKind.ITEM
        count = found.noting("quantity", lambda: quantity_of(cells))
        quantity = (count or 0) if kind == AssetKind.STOCK else 0
        return AssetValues(name="", kind=kind, quantity=quantity)
    if cells.get("kind") and kind != asset.kind:
        sentence = f"This asset is {KINDS[asset.kind]}. You can’t change its kind"
        found.append(CellFault("kind", sentence))
    return lifecycle.values_of(asset)


def _refuse_disposed(asset: Asset, values: AssetValues, adds: Mapping[str, str]) -> None:
    is_more_than_notes = adds or values != replace(lifecycle.values_of(asset), notes=values.notes)
    if asset.status == AssetStatus.LIQUIDATED and is_more_than_notes:
        raise Refusal("This asset was disposed of. You can only change its notes")


def _with_lists(actor: Actor, made: Plan) -> AssetValues:
    values = made.values
    for called, kind in LISTS.items():
        name = made.shown.adds.get(called)
        if name is None:
            continue
        row = named_lists.find(kind, named_lists.create(kind, actor, name))
        values = replace(values, **{f"{called}_id": row.id})
    return values


def existing(current: Session, cells: Cells, *, locked: bool = False) -> Asset | None:
    """Return the undeleted asset with the row's tag, `locked` for a change."""
    tag = cells.get("asset_tag")
    if not tag:
        return None
    same = func.lower(Asset.asset_tag) == func.lower(tag)
    query = select(Asset).where(same, Asset.deleted_at.is_(None))
    if locked:
        query = query.with_for_update().execution_options(populate_existing=True)
    return current.scalars(query).first()


def placed(
    current: Session, values: AssetValues, cells: Cells, found: Faults
) -> tuple[AssetValues, dict[str, str]]:
    """Return the values with category and location, and the names that must be added first."""
    new_names = {}
    for called, kind in LISTS.items():
        name = cells.get(called)
        if not name:
            continue
        if len(name) > named_lists.LONGEST_NAME:
            sentence = f"Enter at most {named_lists.LONGEST_NAME} characters"
            found.append(CellFault(called, sentence))
            continue
        same = func.lower(kind.model.name) == func.lower(name)
        row_id: Any = current.scalar(select(kind.model.id).where(same))
        if row_id is not None:
            values = replace(values, **{f"{called}_id": row_id})
        else:
            new_names[called] = name
    return values, new_names


def person(
    current: Session, asset: Asset | None, values: AssetValues, cells: Cells
) -> Staff | str | None:
    """Return the staff to allocate the asset to, or the text for a person to add first.

    Returns None if the cell is blank or that person already has the asset.
    """
    text = cells.get(HOLDER_COLUMN)
    if not text:
        return None
    if values.kind == AssetKind.STOCK:
        raise Refusal("Leave this blank. You can’t allocate a consumable to a person")
    staff = import_people.find(current, text)
    held = open_assignment(asset.id) if asset else None
    if held and staff and held.staff_id == staff.id:
        return None
    if asset:
        _refuse_not_free(asset, held)
    if staff is None:
        return import_people.to_add(text)
    if not staff.is_active:
        raise Refusal(f"{staff.name} is former staff")
    if asset:
        _refuse_reserved(current, asset, staff)
    return staff


def refuse_nameless(asset: Asset | None, cells: Cells) -> None:
    """Refuse an unknown tag without a name, which is more often a mistyped tag than a new asset."""
    tag = cells.get("asset_tag")
    if tag and asset is None and not cells.get("name"):
        raise Refusal(f"No asset has the tag {tag[:40]}. To add one with it, enter its name")


def refuse_taken_by_another(current: Session, values: AssetValues, asset: Asset | None) -> None:
    """Refuse another asset's serial number, suggesting that asset's tag if the row has none."""
    other = None if values.asset_tag else holder_of_serial(current, values.serial_number)
    if other:
        way_out = f"If this row is for that asset, enter {other.asset_tag} as its tag"
        raise Refusal(f"{other.asset_tag} already has this serial number. {way_out}")
    refuse_taken(current, None, values.serial_number, asset.id if asset else None)


def _refuse_not_free(asset: Asset, held: Assignment | None) -> None:
    holder = held.staff.name if held else None
    words = why_not(Action.ALLOCATE, asset.status, asset.kind, holder=holder)
    if words:
        raise Refusal(f"{asset.asset_tag} {words.removesuffix('.')}")


def _refuse_reserved(current: Session, asset: Asset, staff: Staff) -> None:
    rival = planning_queries.conflict(current, asset.id, utcnow(), None, for_staff_id=staff.id)
    if rival:
        raise Refusal(f"{rival.staff.name} has reserved this asset. Reject that reservation first")
