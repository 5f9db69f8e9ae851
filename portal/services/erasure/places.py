"""List all tables and columns that can name a person, with the rows and the replacements.

Everything else stays, which the page of an erasure says: stored bodies and requests until their
retention ends, and texts that people typed about assets.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Text, and_, cast, false, or_
from sqlalchemy.orm import InstrumentedAttribute

from portal.extensions import Base
from portal.models.alerts import Alert, AlertRun, AlertSettings
from portal.models.assets import Action, Activity, StockMove
from portal.models.assignments import Assignment, Incident
from portal.models.audit import AuditEntry, ErasedKind
from portal.models.deliveries import Attempt, Delivery, Lease
from portal.models.mails import Mail
from portal.models.operations import SendingSwitch
from portal.models.people import Token
from portal.models.planning import Maintenance, Reservation
from portal.models.tasks import Task, TaskRow
from portal.models.webhooks import Webhook
from portal.services.core.queries import any_holds
from portal.services.erasure.person import TARGETS, KnownPerson, spellings
from portal.services.webhooks import rows

Column = InstrumentedAttribute[Any]
ROWS_A_STEP: Final = 2000
# One task has many rows, each of which can name the same person.
TASKS_A_STEP: Final = 5
INVITATION: Final = "invitation"
ABOUT_PEOPLE: Final = (*TARGETS.values(), INVITATION)
BOTH: Final = frozenset(ErasedKind)
USERS: Final = frozenset({ErasedKind.USER})
STAFF: Final = frozenset({ErasedKind.STAFF})
OF_RESERVATIONS: Final = tuple(action for action in Action if "reserv" in action)


@dataclass(frozen=True, slots=True)
class Field:
    """One column: the rows that can name the person (`names`), and the value afterwards (`erased`).

    `is_free` marks free text, where the person's name can mean something else.
    """

    column: Column
    names: Callable[[KnownPerson], ColumnElement[bool]]
    erased: Callable[[KnownPerson, Any], Any]
    kinds: frozenset[ErasedKind] = BOTH
    is_free: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NameTable:
    """One table, read in steps of `most` values of `key`. `rest` completes the primary key."""

    model: type[Base]
    key: Column
    fields: Sequence[Field]
    rest: Sequence[Column] = ()
    most: int = ROWS_A_STEP

    @property
    def keys(self) -> Sequence[Column]:
        """The columns of the primary key."""
        return (self.key, *self.rest)

    @property
    def table(self) -> str:
        """The table's name, under which changed rows are counted."""
        return str(self.model.__tablename__)

    def fields_of(self, kind: ErasedKind) -> list[Field]:
        """Return the columns that can name a person of this kind."""
        return [field for field in self.fields if kind in field.kinds]

    def names(self, person: KnownPerson) -> ColumnElement[bool]:
        """Return the condition for the rows that can name the person."""
        return or_(false(), *(field.names(person) for field in self.fields_of(person.kind)))


def places_of(kind: ErasedKind) -> list[NameTable]:
    """Return the tables that can name a person of this kind, in the order of the erasure."""
    return [place for place in PLACES if place.fields_of(kind)]


def _label(person: KnownPerson, _value: Any) -> str:
    return person.label


def _by(column: Column, who: Column) -> Field:
    """Return a field with a user's name, next to the column `who` with that user's row id."""
    return Field(column, lambda p: and_(who == p.id, column != p.label), _label, USERS)


def _named(column: Column) -> Field:
    """Return a field with a user's name, without a row id."""
    return Field(column, lambda person: column.in_(person.sole_names), _label, USERS)


def _mentioned(column: Column) -> Field:
    """Return a field with text or JSON that can mention a person."""
    return Field(
        column, lambda person: _holds(column, person.sought), KnownPerson.without, is_free=True
    )


def _held(column: Column) -> Field:
    """Return a field with JSON that can contain a staff object."""

    def names(person: KnownPerson) -> ColumnElement[bool]:
        mine = cast(column, Text).contains(f'"id": {person.id}')
        return and_(mine, _holds(column, person.texts))

    return Field(column, names, KnownPerson.without, STAFF)


def _reserved(person: KnownPerson) -> ColumnElement[bool]:
    begins = (Activity.note.startswith(f"{name}: ", autoescape=True) for name in person.sole_names)
    return and_(Activity.action.in_(OF_RESERVATIONS), or_(false(), *begins))


def _holds(column: Column, texts: Sequence[str]) -> ColumnElement[bool]:
    return or_(false(), *(any_holds([cast(column, Text)], text) for text in spellings(texts)))


def _is_own(person: KnownPerson) -> ColumnElement[bool]:
    kind, target = AuditEntry.target_kind, AuditEntry.target_id
    return and_(kind == TARGETS[person.kind], target == str(person.public_id))


def _is_named_own(person: KnownPerson) -> ColumnElement[bool]:
    return and_(_is_own(person), AuditEntry.target_name != person.label)


def _is_invitation(person: KnownPerson) -> ColumnElement[bool]:
    name = AuditEntry.target_name.in_(person.emails)
    return and_(AuditEntry.target_kind == INVITATION, name)


def _is_told_of_things(person: KnownPerson) -> ColumnElement[bool]:
    """Match entries that are not about people, because a colleague can have had the same name."""
    of_things = AuditEntry.target_kind.not_in(ABOUT_PEOPLE)
    return and_(of_things, _holds(AuditEntry.changes, person.sought))


def _is_of_owners(person: KnownPerson) -> ColumnElement[bool]:
    of_webhooks = AuditEntry.target_kind == rows.TARGET
    return and_(of_webhooks, _holds(AuditEntry.changes, person.sole_names))


def _place(model: Any, *fields: Field) -> NameTable:
    return NameTable(model=model, key=model.id, fields=fields)


PLACES: Final[tuple[NameTable, ...]] = (
    _place(
        Activity,
        _by(Activity.actor_name, Activity.actor_id),
        _held(Activity.changes),
        _mentioned(Activity.changes),
        Field(Activity.note, _reserved, KnownPerson.reserver, STAFF),
        _mentioned(Activity.note),
    ),
    _place(StockMove, _by(StockMove.actor_name, StockMove.actor_id), _mentioned(StockMove.note)),
    _place(Assignment, _mentioned(Assignment.purpose), _mentioned(Assignment.notes)),
    _place(Reservation, _mentioned(Reservation.purpose), _mentioned(Reservation.reason)),
    _place(Maintenance, _mentioned(Maintenance.title), _mentioned(Maintenance.note)),
    _place(Incident, _held(Incident.details), _mentioned(Incident.details)),
    _place(
        Alert,
        _by(Alert.acknowledged_by, Alert.acknowledged_by_id),
        _held(Alert.details),
        _mentioned(Alert.details),
        _mentioned(Alert.mailed_to),
    ),
    _place(AlertRun, _named(AlertRun.actor_name)),
    _place(Token, _by(Token.made_by, Token.made_by_id)),
    _place(AlertSettings, _mentioned(AlertSettings.holder_text)),
    _place(
        Delivery,
        _named(Delivery.requested_by),
        _named(Delivery.dismissed_by),
        _mentioned(Delivery.dismissed_reason),
    ),
    # After the deliveries that leases are for, and before the attempts that they become.
    NameTable(model=Lease, key=Lease.delivery_id, fields=(_named(Lease.actor),)),
    _place(Attempt, _named(Attempt.actor)),
    _place(
        Webhook,
        _by(Webhook.taken_by, Webhook.taken_by_id),
        _by(Webhook.note_by, Webhook.note_by_id),
        _mentioned(Webhook.note),
    ),
    _place(Mail, _mentioned(Mail.failed_with), _mentioned(Mail.kept)),
    _place(SendingSwitch, _by(SendingSwitch.stopped_by, SendingSwitch.stopped_by_id)),
    _place(
        Task,
        _by(Task.actor_name, Task.actor_id),
        _named(Task.stopped_by),
        _mentioned(Task.params),
    ),
    NameTable(
        model=TaskRow,
        key=TaskRow.task_id,
        rest=(TaskRow.number,),
        most=TASKS_A_STEP,
        fields=(_held(TaskRow.data), _mentioned(TaskRow.data), _mentioned(TaskRow.message)),
    ),
    # Last, because `known` reads the person's earlier names from it.
    _place(
        AuditEntry,
        _by(AuditEntry.actor_name, AuditEntry.actor_id),
        Field(AuditEntry.target_name, _is_named_own, _label),
        Field(AuditEntry.target_name, _is_invitation, _label, USERS),
        Field(AuditEntry.changes, _is_own, KnownPerson.own),
        Field(AuditEntry.changes, _is_of_owners, KnownPerson.owned, USERS),
        _held(AuditEntry.changes),
        Field(AuditEntry.changes, _is_told_of_things, KnownPerson.without, is_free=True),
    ),
)
