"""Find the current recipients of each alert kind: webhooks, addresses, and holders.

The built-in inbox does not count as a recipient, because it notifies no one.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.database.engine import AnyRow
from portal.engine.events.catalogue import EventName
from portal.models.alerts import Alert
from portal.models.assignments import Assignment, Staff
from portal.models.people import User
from portal.models.webhooks import ALL_EVENTS, Webhook, WebhookEvent, WebhookKind, WebhookState
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.sentences import NAMES
from portal.services.alerts.settings import LATE, Emails
from portal.services.core.unit_of_work import session
from portal.services.mail import mails
from portal.services.outbox.publish import LISTENING
from portal.services.webhooks.backlog import fails

OF_WEBHOOK: Final = ("public_id", "name", "kind", "state", "conditions")


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A webhook subscribed to these alerts. A webhook that is off holds them."""

    public_id: UUID
    name: str
    is_off: bool
    is_failing: bool
    has_conditions: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipients:
    """The recipients of one kind of alert. `has_inbox` means the built-in inbox is subscribed.

    `unreached` are the addresses that get no email, because their users are disabled or email is
    off.
    """

    webhooks: Sequence[Subscriber]
    has_inbox: bool
    addresses: Sequence[str]
    unreached: Sequence[str]
    has_holder: bool

    @property
    def is_no_one(self) -> bool:
        """Return whether these alerts currently reach no one."""
        is_off = all(webhook.is_off for webhook in self.webhooks)
        return is_off and not self.addresses and not self.has_holder


def by_kind() -> Mapping[EventName, Recipients]:
    """Return the recipients by alert kind."""
    current = session()
    emails = alert_settings.read(current).emails
    typed = {address for event in NAMES for address in emails.of(event)}
    reached = typed - disabled_among(current, typed) if mails.is_on() else set()
    subscribers = _subscribers(current)
    recipients = {}
    for event in NAMES:
        rows = [row for row in subscribers if row.event in (event, ALL_EVENTS)]
        recipients[event] = Recipients(
            webhooks=[_subscriber(row) for row in rows if row.kind != WebhookKind.INBOX],
            has_inbox=any(row.kind == WebhookKind.INBOX for row in rows),
            addresses=[email for email in emails.of(event) if email in reached],
            unreached=[email for email in emails.of(event) if email not in reached],
            has_holder=event is LATE and emails.remind_holder and mails.is_on(),
        )
    return recipients


def reached_by(current: Session, emails: Emails, event: str) -> list[str]:
    """Return the addresses that get emails of this kind."""
    addresses = emails.of(event)
    disabled = disabled_among(current, addresses)
    return [address for address in addresses if address not in disabled] if mails.is_on() else []


def holders_reached(
    current: Session, emails: Emails, checkouts: Collection[int]
) -> Mapping[int, int]:
    """Return {checkout id: staff id} of the holders to remind, empty if reminders are off."""
    if not (emails.remind_holder and mails.is_on()):
        return {}
    theirs = (
        select(Assignment.id, Assignment.staff_id)
        .join(Staff)
        .where(Assignment.id.in_(checkouts), Assignment.ended_at.is_(None), Staff.is_active)
    )
    return {row[0]: row[1] for row in current.execute(theirs)}


def holders_told(alerts: Collection[Alert]) -> Mapping[int, str]:
    """Return the current names of the emailed holders by the alert's row id."""
    emailed = [alert for alert in alerts if alert.is_holder_told]
    if not emailed:
        return {}
    checkouts = Assignment.id.in_([alert.assignment_id for alert in emailed])
    rows = session().execute(select(Assignment.id, Staff.name).join(Staff).where(checkouts))
    names: dict[int | None, str] = {row[0]: row[1] for row in rows}
    return {alert.id: names[alert.assignment_id] for alert in emailed}


def disabled_among(current: Session, addresses: Collection[str]) -> set[str]:
    """Return the addresses that get no email because their users can't sign in."""
    email = func.lower(User.email)
    disabled = select(email).where(email.in_(addresses), User.is_active.is_(False))
    return set(current.scalars(disabled)) if addresses else set()


def _subscribers(current: Session) -> Sequence[AnyRow]:
    """Return the webhooks subscribed to any alert event, by name."""
    columns = (
        WebhookEvent.event,
        *(getattr(Webhook, name) for name in OF_WEBHOOK),
        fails().label("is_failing"),
    )
    return current.execute(
        select(*columns)
        .join(WebhookEvent, WebhookEvent.webhook_id == Webhook.id)
        .where(
            WebhookEvent.event.in_([*NAMES, ALL_EVENTS]),
            Webhook.state.in_(LISTENING),
            Webhook.deleted_at.is_(None),
        )
        .order_by(func.lower(Webhook.name), Webhook.id)
    ).all()


def _subscriber(row: AnyRow) -> Subscriber:
    is_off = row.state == WebhookState.OFF
    is_failing = row.is_failing and not is_off
    return Subscriber(row.public_id, row.name, is_off, is_failing, row.conditions is not None)
