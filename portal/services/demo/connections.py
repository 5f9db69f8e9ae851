"""The webhooks of the demo, and what people did about their deliveries."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

from sqlalchemy import select

from portal.engine.events.body import ActorKind, Origin
from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.models.alerts import Alert, FirstAnswer
from portal.models.deliveries import Delivery, DeliveryStatus, Priority
from portal.models.webhooks import Webhook
from portal.services.alerts import ledger, runs
from portal.services.alerts import settings as alert_settings
from portal.services.core.permissions import Actor
from portal.services.core.unit_of_work import session
from portal.services.deliveries import bulk_retry, bulk_retry_selection
from portal.services.deliveries import retry as delivery_retry
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.deliveries.dismissals import dismiss_chosen
from portal.services.demo import receivers
from portal.services.demo.diary import Act, Diary, ago
from portal.services.demo.receivers import Receiver
from portal.services.demo.sender import Sender
from portal.services.webhooks import activation, crud, inbox
from portal.services.webhooks.rows import find_webhook
from portal.services.webhooks.rules import WebhookValues, url_problem
from portal.services.webhooks.sample_deliveries import send_test

SUPPORT: Final = Actor(ActorKind.SYSTEM, None, "Sam Okoro", Origin.UI)
# A port of this machine at which nobody listens; and, where we may not send there, a name that
# stands for none (RFC 2606).
CLOSED: Final = "http://127.0.0.1:9"
NOWHERE: Final = "https://receiver.invalid"
FORGOTTEN: Final = 4  # deliveries that nobody retried when the finance system was well again
LONGEST: Final = 29  # days of deliveries
# A bulk retry is looked after so often, until nothing of it is left to do.
LOOKS: Final = [timedelta(seconds=15 * number) for number in range(1, 9)]


class Connections:
    """What is connected, by name."""

    def __init__(self, actor: Actor, sender: Sender, now: datetime) -> None:
        self._actor, self._sender, self._now = actor, sender, now
        self._ids: dict[str, UUID] = {}
        self._nobody = CLOSED if url_problem(CLOSED) is None else NOWHERE
        self._begins = ago(now, days_told())

    def note(self, diary: Diary) -> None:
        """Write everything that concerns them into the diary."""
        every = receivers.receivers()
        for number, receiver in enumerate(every):
            diary.note(self._begins + timedelta(minutes=number), partial(self._add, receiver))
        self._note_presses(diary, every)
        self._note_alerts(diary)

    def _note_presses(self, diary: Diary, every: Iterable[Receiver]) -> None:
        now, (_, finance_well) = self._now, receivers.FINANCE_WAS_DOWN
        for number, receiver in enumerate(every):
            at = self._begins + timedelta(hours=1, minutes=number)
            diary.note(at, partial(self._test, receiver.name))
        presses: list[tuple[datetime, Act]] = [
            (ago(now, 9), partial(self._turn_off, receivers.CRM)),
            (ago(now, hours=4.2), partial(self._test, receivers.WAREHOUSE)),
            (ago(now, hours=3.1), partial(self._stop, receivers.FINANCE)),
            (ago(now, hours=0.3), partial(self._retry, receivers.FINANCE)),
            (ago(now, hours=0.2), partial(self._dismiss, receivers.FINANCE)),
        ]
        for began, but in ((ago(now, hours=finance_well - 2), FORGOTTEN), (ago(now, hours=0.8), 0)):
            presses.append((began, partial(self._retry_all, receivers.FINANCE, but)))
            presses += [(began + later, self._sender.work) for later in LOOKS]
        for at, press in presses:
            if at > self._begins:
                diary.note(at, press)

    def _note_alerts(self, diary: Diary) -> None:
        """A run each day, and somebody who looks after some of what it finds."""
        diary.note(self._begins - timedelta(days=1), self._answer)
        for days in range(days_told() - 1, -1, -1):
            at = ago(self._now, days)
            diary.note(at, self._look)
            if days % 4 == 2:
                diary.note(at + timedelta(hours=2), self._acknowledge)

    def _add(self, receiver: Receiver) -> None:
        current, events = session(), tuple(map(str, receiver.events))
        if receiver.is_inside:
            values = WebhookValues(
                name=receiver.name, url="", events=events, in_order=receiver.in_order
            )
            webhook = inbox.make_inbox(current, self._actor, values)
        else:
            url = f"{self._nobody}/{receiver.name.lower().replace(' ', '-')}"
            values = WebhookValues(name=receiver.name, url=url, events=events)
            webhook = find_webhook(current, crud.create(self._actor, values))
        self._ids[receiver.name] = webhook.public_id
        self._sender.connect(webhook, receiver)

    def _test(self, name: str) -> None:
        send_test(self._actor, self._ids[name])

    def _turn_off(self, name: str) -> None:
        activation.turn_off(self._actor, self._ids[name])

    def _retry_all(self, name: str, but: int = 0) -> None:
        """All that did not arrive, but some of the oldest."""
        missing = self._of(name, DeliveryStatus.FAILED, DeliveryStatus.RETRYING)
        chosen = missing[: min(bulk_retry_selection.MOST_TICKED, len(missing) - but)]
        if chosen:
            bulk_retry.start(SUPPORT, Selection(ticked=tuple(chosen)))
        self._sender.work()

    def _retry(self, name: str) -> None:
        for public_id in self._of(name, DeliveryStatus.RETRYING)[:1]:
            delivery_retry.retry(SUPPORT, public_id)

    def _dismiss(self, name: str) -> None:
        """The oldest, which nobody needs any more."""
        if failed := self._of(name, DeliveryStatus.FAILED):
            dismiss_chosen(SUPPORT, failed[-1:])

    def _stop(self, name: str) -> None:
        for public_id in self._of(name, DeliveryStatus.RETRYING)[-2:]:
            delivery_retry.stop(SUPPORT, public_id)

    def _of(self, name: str, *statuses: DeliveryStatus) -> list[UUID]:
        """Its deliveries that nobody retries yet, the newest first."""
        wanted = (
            select(Delivery.public_id)
            .join(Webhook, Webhook.id == Delivery.webhook_id)
            .where(
                Webhook.public_id == self._ids[name],
                Delivery.status.in_(statuses),
                Delivery.priority != Priority.TEST,
            )
            .order_by(Delivery.id.desc())
        )
        return list(session().scalars(wanted))

    def _answer(self) -> None:
        alert_settings.answer(session(), self._actor, FirstAnswer.SEND)

    def _look(self) -> None:
        runs.start_due(utcnow())
        self._sender.work()

    def _acknowledge(self) -> None:
        wanted = select(Alert.public_id).where(Alert.acknowledged_at.is_(None))
        newest = session().scalars(wanted.order_by(Alert.id.desc()).limit(1)).first()
        if newest is not None:
            ledger.acknowledge(self._actor, newest)


def days_told() -> int:
    """For how many days back there are deliveries: no more than are kept."""
    return max(1, min(LONGEST, settings().retention_days - 1))
