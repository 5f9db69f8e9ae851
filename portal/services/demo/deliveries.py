"""Simulate a month of deliveries to the demo's webhooks, and people's reactions to failures.

The engine claims the deliveries, classifies the results, and records them. Only the receivers'
responses are invented.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import func, select

from portal.engine.conditions.predicate import Condition, as_text
from portal.engine.events.body import ActorKind, Origin
from portal.engine.events.catalogue import EventName
from portal.engine.http.exchange import Exchange, Phases
from portal.engine.http.transport import prepare
from portal.engine.reasons import Reason, reason_for_code
from portal.extensions import settings
from portal.lib.clock import frozen, utcnow
from portal.models.alerts import Alert, FirstAnswer
from portal.models.deliveries import Delivery, DeliveryStatus, Priority, is_open
from portal.models.tasks import Task, TaskState
from portal.models.webhooks import Webhook, WebhookKind
from portal.services.alerts import ledger, runs
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.rules import AlertRules
from portal.services.core import heartbeats
from portal.services.core.permissions import Actor
from portal.services.deliveries import bulk_retry
from portal.services.deliveries import retry as delivery_retry
from portal.services.deliveries.bulk_retry_selection import MOST_TICKED, Selection
from portal.services.deliveries.dismissals import dismiss
from portal.services.demo.register import Story
from portal.services.dispatch import maintenance, record_results
from portal.services.dispatch.claim import Claim, claim
from portal.services.dispatch.request import Composer, Result, of_exchange
from portal.services.webhooks import crud, inbox, turn_on_off
from portal.services.webhooks.rows import find_webhook, token_of
from portal.services.webhooks.rules import SecretMode, WebhookValues, url_problem
from portal.services.webhooks.sample_deliveries import send_test

SUPPORT: Final = Actor(ActorKind.SYSTEM, None, "Sam Okoro", Origin.UI)
# A local port on which nothing listens and, if sending there is not allowed, a host name that is
# reserved as invalid (RFC 2606).
CLOSED: Final = "http://127.0.0.1:9"
NOWHERE: Final = "https://receiver.invalid"
LONGEST: Final = 29  # maximum days of deliveries
PLACES: Final = 64
PICKED_UP_AFTER: Final = timedelta(milliseconds=35)
CHECKED_AFTER: Final = timedelta(seconds=20)  # the daily check of alerts, after its time


class Answer(NamedTuple):
    """A receiver's response after about `seconds`. Without a code, the request times out."""

    code: int | None
    text: str = ""
    seconds: float = 0.05
    retry_after: int | None = None


OK: Final = Answer(200, '{"status": "ok"}', 0.12)
INSIDE: Final = Answer(200, "The built-in inbox received this delivery.\n", 0.02)
BROKEN: Final = Answer(500, "NullPointerException at ErpSink.java:118", 0.21)
NOT_UNDERSTOOD: Final = Answer(422, '{"error": "asset.serial_number is missing"}', 0.09)


class Receiver(NamedTuple):
    """One webhook of the demo.

    `usual` is the normal response. `INSIDE` makes it a built-in inbox, and otherwise its URL is an
    address where nothing listens. `spells` are periods with another response, as (begin, end,
    response) in hours ago. Every delivery whose id is divisible by `odd` is always rejected.
    """

    name: str
    events: Sequence[EventName]
    usual: Answer = OK
    spells: Sequence[tuple[float, float, Answer]] = ()
    odd: int = 0
    in_order: bool = False
    conditions: Sequence[Condition] = ()
    format: str | None = None

    def answer(self, delivery_id: int, hours_ago: float) -> Answer:
        """Return the response at that time."""
        for begins, ends, answer in self.spells:
            if ends <= hours_ago < begins:
                return answer
        return NOT_UNDERSTOOD if self.odd and delivery_id % self.odd == 0 else self.usual


FINANCE, WAREHOUSE, CRM = "Finance depreciation", "Warehouse sheet", "Old CRM"
FINANCE_WELL_AGAIN: Final = 16.2 * 24  # hours ago


def _events(names: str) -> tuple[EventName, ...]:
    return tuple(EventName(f"asset.{name}") for name in names.split())


LENDING: Final = _events("created allocated revoked checked_out liquidated")
TROUBLE: Final = _events("broken lost warranty maintenance_scheduled maintenance_completed")
MOVES: Final = _events("updated transferred checked_in")
RECEIVERS: Final = (
    Receiver("Built-in inbox", tuple(EventName), INSIDE),
    Receiver(
        "Helpdesk tickets",
        (*TROUBLE, *MOVES),
        INSIDE,
        (
            (260, 254, Answer(503, "Service Unavailable")),
            (100, 92, Answer(None)),
            (9, 8.2, Answer(429, "Too many requests")),
        ),
    ),
    Receiver(
        "Accounting export",
        (*LENDING, *MOVES),
        INSIDE,
        ((6, -1, Answer(401, '{"error": "signature does not match"}')),),
        in_order=True,
    ),
    Receiver(
        FINANCE,
        LENDING,
        spells=((20 * 24, FINANCE_WELL_AGAIN, BROKEN), (13, -1, BROKEN)),
        odd=29,
        conditions=(Condition("cost", "at_least", ("100.00",)),),
    ),
    Receiver(
        WAREHOUSE, MOVES, spells=((5, -1, Answer(503, "Down for maintenance", retry_after=7200)),)
    ),
    Receiver(CRM, LENDING),
    Receiver("Label service", LENDING, spells=((4 * 24, -1, Answer(410, "Gone")),)),
    Receiver(
        "IT channel in Slack",
        TROUBLE,
        INSIDE,
        conditions=(Condition("origin", "is_not", ("bulk", "import")),),
        format="slack",
    ),
)


class Sender:
    """A simulated sender process, in one transaction with the whole story."""

    def __init__(self, story: Story) -> None:
        self._story, self._current = story, story.current
        self._composer = Composer(settings().version)
        self._receivers: dict[int, Receiver] = {}
        self._clock = story.now - timedelta(days=LONGEST + 1)

    def connect(self, actor: Actor, receiver: Receiver) -> UUID:
        """Add a webhook whose deliveries `receiver` answers from now on. Return its public id."""
        base = CLOSED if url_problem(CLOSED) is None else NOWHERE
        values = WebhookValues(
            name=receiver.name,
            url=f"{base}/{receiver.name.lower().replace(' ', '-')}",
            events=tuple(map(str, receiver.events)),
            in_order=receiver.in_order,
            conditions=as_text(receiver.conditions),
            format=receiver.format,
            secret_mode=SecretMode.NONE if receiver.format else SecretMode.GENERATE,
        )
        if receiver.usual is INSIDE:
            webhook = inbox.make_inbox(self._current, actor, replace(values, url=""))
        else:
            webhook = find_webhook(self._current, crud.create(actor, values))
        self._receivers[webhook.id] = receiver
        return webhook.public_id

    def send_until(self, moment: datetime) -> None:
        """Run deliveries and tasks until `moment`, each when it is due."""
        until = min(moment, self._story.now - timedelta(seconds=3))  # newer deliveries stay waiting
        while self._receivers and (due_at := self._next_due()) is not None:
            if due_at + PICKED_UP_AFTER >= until:
                return
            self._clock = due_at + PICKED_UP_AFTER
            with frozen(self._clock):
                self._story.work()
                maintenance.maintain_on(self._current.connection())
            while self._send():
                pass

    def leave_one_under_way(self) -> None:
        """Claim one delivery without a result, so that it stays in progress.

        Its lease ends by its time. Otherwise, it would end with a command's process, as a crash.
        """
        with heartbeats.without_heartbeats():
            claim(self._current.connection(), 1)

    def _next_due(self) -> datetime | None:
        """Return the first time after the current one when something can become due."""
        at, is_under_way = self._clock, Task.state.in_([TaskState.WAITING, TaskState.RUNNING])
        due = (
            select(func.min(Delivery.due_at)).where(is_open(), Delivery.due_at > at),
            select(func.min(Webhook.backoff_until)).where(Webhook.backoff_until > at),
            select(func.min(Webhook.next_at)).where(
                Webhook.next_at > at,
                Webhook.id.in_(select(Delivery.webhook_id).where(is_open())),
            ),
            select(func.min(Task.due_at)).where(is_under_way, Task.due_at > at),
        )
        return min(filter(None, map(self._current.scalar, due)), default=None)

    def _send(self) -> bool:
        """Claim, answer, and record a batch. Return whether there was any delivery."""
        connection = self._current.connection()
        with frozen(self._clock):
            results = [self._result(claimed) for claimed in claim(connection, PLACES)]
        if results:
            self._clock = max(result.finished_at for result in results)
            with frozen(self._clock):
                record_results.record(
                    connection, results, partial(self._story.chance.uniform, -1, 1)
                )
        return bool(results)

    def _result(self, claimed: Claim) -> Result:
        receiver, sent = self._receivers[claimed.webhook.id], self._composer.compose(claimed)
        ago = self._story.now - utcnow()
        answer = receiver.answer(claimed.delivery_id, ago / timedelta(hours=1))
        seconds, first_byte, headers = settings().webhook_timeout * 1.0, None, []
        if answer.code:
            seconds = answer.seconds * self._story.chance.uniform(0.7, 1.6)
            first_byte, headers = seconds * 0.9, [("Content-Type", "text/plain")]
        if answer.retry_after:
            headers.append(("Retry-After", str(answer.retry_after)))
        exchange = Exchange(
            key=None,
            request=prepare(sent.url, sent.headers, sent.body),
            reason=reason_for_code(answer.code) if answer.code else Reason.READ_TIMEOUT,
            code=answer.code,
            phases=Phases(connect=seconds / 9, first_byte=first_byte, total=seconds),
            peer=f"127.0.0.1:{settings().port}",
            response_headers=tuple(headers),
            body=answer.text.encode(),
        )
        with frozen(utcnow() + timedelta(seconds=seconds)):
            is_taken = claimed.webhook.kind == WebhookKind.INBOX and exchange.reason is None
            if is_taken and ago < inbox.KEPT_FOR:
                token = token_of(claimed.webhook.public_id)
                inbox.receive(token, list(sent.headers.items()), claimed.body)
            return of_exchange(claimed, exchange, sent)


def note_deliveries(story: Story, sender: Sender) -> None:
    """Schedule the addition of the webhooks, and people's actions on their deliveries."""
    days = max(1, min(LONGEST, settings().retention_days - 1))  # older deliveries are not kept
    hooks: dict[str, UUID] = {}

    def at(hours_ago: float, act: Callable[[Actor], object]) -> None:
        if hours_ago <= 24 * days:
            story.at(story.now - timedelta(hours=hours_ago), act)

    def add(receiver: Receiver, actor: Actor) -> None:
        hooks[receiver.name] = sender.connect(actor, receiver)

    def test(name: str, actor: Actor) -> None:
        send_test(actor, hooks[name])

    def finance(*statuses: DeliveryStatus) -> list[UUID]:
        """Return the finance webhook's deliveries with these statuses, newest first."""
        query = (
            select(Delivery.public_id)
            .join(Webhook, Webhook.id == Delivery.webhook_id)
            .where(Webhook.public_id == hooks[FINANCE], Delivery.status.in_(statuses))
            .where(Delivery.priority != Priority.TEST)
        )
        return list(story.current.scalars(query.order_by(Delivery.id.desc())))

    def retry_all(but: int, _actor: Actor) -> None:
        missing = finance(DeliveryStatus.FAILED, DeliveryStatus.RETRYING)
        # The number depends on the days of the week, but some are always retried.
        left = min(but, len(missing) // 2)
        chosen = missing[: min(MOST_TICKED, len(missing) - left)]
        bulk_retry.start(SUPPORT, Selection(ticked=tuple(chosen)))

    def care_for_some(_actor: Actor) -> None:
        newest, *_, older, oldest = finance(DeliveryStatus.RETRYING)
        dismiss(SUPPORT, Selection(ticked=(older, oldest)), "Sent by hand")
        delivery_retry.retry(SUPPORT, newest)
        failed = finance(DeliveryStatus.FAILED)[-1:]
        dismiss(SUPPORT, Selection(ticked=tuple(failed)), "Asset is gone")

    def acknowledge(actor: Actor) -> None:
        query = select(Alert.public_id).where(Alert.acknowledged_at.is_(None))
        for public_id in story.current.scalars(query.order_by(Alert.id.desc()).limit(1)).all():
            ledger.acknowledge(actor, public_id)

    def answer(actor: Actor) -> None:
        alert_settings.answer(story.current, actor, FirstAnswer.SEND)

    story.at(story.now - timedelta(days=days + 1), answer)
    for number, receiver in enumerate(RECEIVERS):
        at(24 * days - number / 60, partial(add, receiver))
        at(24 * days - 1 - number / 60, partial(test, receiver.name))
    zone = settings().timezone
    for day in range(days):
        slot = alert_settings.last_slot(story.now - timedelta(days=day), AlertRules().at, zone)
        since = max(story.now - slot.due_at - CHECKED_AFTER, timedelta())
        at(since / timedelta(hours=1), lambda _: runs.start_due(utcnow()))
        if day % 4 == 2:
            at(24 * day - 2, acknowledge)
    at(FINANCE_WELL_AGAIN - 2, partial(retry_all, 4))  # leaves up to 4 that nobody retried
    at(9 * 24, lambda actor: turn_on_off.turn_off(actor, hooks[CRM]))
    at(4.2, partial(test, WAREHOUSE))
    at(0.8, partial(retry_all, 0))
    at(0.2, care_for_some)
