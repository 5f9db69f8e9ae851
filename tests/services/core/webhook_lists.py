"""Lists of webhooks and bulk retries, with rows and the expected pages."""

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import func, select

from portal.lib.clock import utcnow
from portal.models.deliveries import Delivery, Priority
from portal.models.webhooks import Webhook
from portal.services import tasks
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import session, writing
from portal.services.deliveries import bulk_retry, retry
from portal.services.webhooks import queries as webhook_queries
from portal.services.webhooks.queries import WebhookOrder
from tests.services.core.keyset_walk import Case, by_id, every, newest, store
from tests.support.deliveries import fail, make_delivery
from tests.support.factories import Hook, make_webhook

# Sorted from worst to best.
STATES: list[dict[str, Any]] = [
    {"state": "off", "off_reason": "gone", "failures_in_row": 3},
    {},  # these have a delivery that fails
    {"throttled": True, "failures_in_row": 9},
    {"state": "off", "off_reason": "person", "throttled": True},
]
FAILING = 1
NAMES = ["beta", "Alpha", "alpha 2", "Zeta"]
URL = "https://{}.example.com/alpha?key=beta"


def newest_webhooks() -> Iterator[Case]:
    """Yield webhooks among drafts and deleted ones."""
    store(
        *(Webhook(name=f"W{n}", url=URL.format("erp")) for n in range(9)),
        Webhook(name="draft", url=URL.format("erp"), state="draft"),
        Webhook(name="gone", url=URL.format("erp"), deleted_at=utcnow()),
    )
    shown = [row for row in every(Webhook) if row.state != "draft" and row.deleted_at is None]
    yield Case("webhooks", webhook_queries.find_page, by_id, newest(shown))


def webhooks() -> Iterator[Case]:
    """Yield several webhooks of each status, among drafts and deleted ones."""
    made = [
        (
            rank,
            Webhook(name=f"{name} {rank}", url=URL.format("crm" if rank % 2 else "erp"), **state),
        )
        for rank, state in enumerate(STATES)
        for name in NAMES
    ]
    made.append((1, Webhook(name="My inbox", kind="inbox", throttled=True)))
    store(
        *(row for _, row in made),
        Webhook(name="alpha draft", url=URL.format("erp"), state="draft"),
        Webhook(name="alpha gone", url=URL.format("erp"), deleted_at=utcnow()),
    )
    for rank, row in made:
        if rank == FAILING:
            fail(Hook(row.id, row.public_id, row.name, row.url, None))
    shown = sorted((rank, row.name.lower(), row.public_id, row.url) for rank, row in made)
    for search in ("", "ALPHA", "erp.EXAMPLE", "this portal"):
        part = search.lower()
        yield Case(
            f"webhooks {search}",
            lambda cursor, search=search: webhook_queries.list_webhooks(search, cursor),
            lambda listed: listed.public_id,
            [
                public_id
                for _, name, public_id, url in shown
                if part in name or part in (url.partition("/alpha")[0] or "this portal")
            ],
        )


def webhooks_in_each_order() -> Iterator[Case]:
    """Yield webhooks by name, status and last delivery, both ways. Some have no delivery."""
    for rank, state in enumerate(STATES):
        for name in NAMES:
            hook = make_webhook(URL.format("crm"), name=f"{name} {rank}", **state)
            if rank % 2:
                make_delivery(hook)
                make_delivery(hook, priority=Priority.TEST)
            if rank == FAILING:
                fail(hook)
    make_delivery(hook)
    query = select(Delivery.webhook_id, func.max(Delivery.id))
    real = query.where(Delivery.priority != Priority.TEST).group_by(Delivery.webhook_id)
    last = {row[0]: row[1] for row in session().execute(real)}
    rows = every(Webhook)
    keys: dict[WebhookOrder, Callable[[Webhook], Any]] = {
        WebhookOrder.NAME: lambda row: (row.name.lower(), row.id),
        WebhookOrder.STATUS: lambda row: (int(row.name[-1]), row.name.lower(), row.id),
        WebhookOrder.LAST: lambda row: (-last.get(row.id, 0), row.name.lower(), row.id),
    }
    for order, key in keys.items():
        for reverse in (False, True):
            yield Case(
                f"webhooks by {order}, {reverse}",
                lambda cursor, order=order, reverse=reverse: webhook_queries.list_webhooks(
                    "", cursor, order, reverse=reverse
                ),
                lambda listed: listed.public_id,
                [row.public_id for row in sorted(rows, key=key, reverse=reverse)],
            )


def bulk_retries() -> Iterator[Case]:
    """Yield several bulk retries with other tasks between them."""
    made = []
    with writing() as current:
        for _ in range(5):
            made.append(tasks.start(current, SYSTEM, retry.NAME, total=1).public_id)
            tasks.start(current, SYSTEM, "another", total=1)
    yield Case("bulk retries", bulk_retry.find_page, lambda task: task.public_id, made[::-1])
