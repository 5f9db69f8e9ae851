"""The owner of a delivery's bulk retry, in the log, on its page, and beside its webhook."""

from datetime import timedelta
from uuid import UUID

from flask import Flask

from portal.lib.clock import utcnow
from portal.services.deliveries import bulk_retry, dismissals
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.operations import sending
from tests.services.bulk_retry.test_bulk_retry import finish, some, work
from tests.support.deliveries import make_attempt
from tests.support.factories import make_user, make_webhook
from tests.support.pages import Pages
from tests.web.home.test_home import troubled
from tests.web.signed_in import signed_in, visit


def told(pages: Pages, made: UUID) -> tuple[str, str]:
    """Return a delivery's result in the log and the text of its page."""
    (row,) = pages.get(f"/deliveries?q={made}").rows()
    result = next(cell for cell in row if "Server error" in cell)
    return result, pages.get(f"/deliveries/{made}").main


def test_a_delivery_names_its_bulk_retrys_owner_and_pause(app: Flask) -> None:
    sync, door = make_webhook(name="Sync"), make_webhook(name="Door")
    made = [
        *some(12, sync, reason="server", code=500),
        *some(1, door, reason="server", code=500),
    ]
    last, other = made[-2:]
    for delivery in (last, other):
        make_attempt(delivery, reason="server", code=500)
    sam = make_user("support", name="Sam Okoro")
    batch = bulk_retry.start(sam.actor, Selection(ticked=tuple(made)))
    work()
    pages, own = visit(app, "support"), signed_in(app, sam)
    result, on_page = told(pages, last)
    assert result.endswith("In Sam Okoro’s bulk retry")
    assert "A bulk retry will send this delivery." in on_page
    shown = pages.get(f"/deliveries/{last}")
    assert "Retry after it’s fixed" not in shown.main
    assert pages.get(shown.links("Sam Okoro’s bulk retry")[0]).path == f"/batches/{batch}"
    assert told(own, last)[0].endswith("In your bulk retry")
    for delivery in made[:10]:
        finish(delivery, "failed")
    work()
    # Paused for this webhook only. The other webhook still gets its delivery.
    result, on_page = told(pages, last)
    assert result.endswith("In Sam Okoro’s paused bulk retry")
    assert (
        "This delivery is in a paused bulk retry. Support or an administrator needs to resume the "
        "bulk retry." in on_page
    )
    result, on_page = told(pages, other)
    assert result.endswith("In Sam Okoro’s bulk retry")
    sending.stop(make_user("admin").actor)
    assert "We’ll send this delivery when sending resumes." in told(pages, other)[1]


def test_a_failing_webhook_counts_deliveries_per_bulk_retry(app: Flask) -> None:
    away = {"throttled": True, "backoff_until": utcnow() + timedelta(minutes=5)}
    made = some(12, make_webhook(name="Sync", **away), reason="server", code=500)
    sam, ana = (make_user("support", name=name) for name in ("Sam Okoro", "Ana Gruber"))
    for person, part in ((sam, made[:4]), (ana, made[4:6])):
        bulk_retry.start(person.actor, Selection(ticked=tuple(part)))
        work()
    pages = signed_in(app, sam)
    page = pages.get("/deliveries")
    number = troubled(page)[0][1]
    assert number.startswith("12 ")
    assert number.endswith(" 4 in your bulk retry 2 in Ana Gruber’s bulk retry")
    assert (
        pages.get(page.links("Ana Gruber’s bulk retry")[0]).h1
        == "Bulk retry of 2 deliveries to Sync"
    )
    dismissals.dismiss(sam.actor, Selection(ticked=(made[2], made[5])))
    number = troubled(pages.get("/deliveries"))[0][1]
    assert number.endswith(" 3 in your bulk retry 1 in Ana Gruber’s bulk retry")
