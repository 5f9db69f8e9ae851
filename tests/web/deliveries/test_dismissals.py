"""Dismissing and restoring deliveries through the pages."""

from uuid import UUID, uuid4

import pytest
from flask import Flask

from jobs import tasks as job
from portal.lib.clock import utcnow
from portal.services.deliveries import dismissals
from portal.services.task_kinds import KINDS
from tests.support.deliveries import change, make_delivery, stored
from tests.support.factories import make_webhook
from tests.support.pages import Form, Page, Pages
from tests.web.home.test_home import troubled
from tests.web.signed_in import visit

DISMISS, RESTORE = "/deliveries/dismiss", "/deliveries/restore"
SELECTED = "Dismiss"


@pytest.fixture
def sam(app: Flask) -> Pages:
    return visit(app, "support", name="Sam")


def broken(count: int = 4, **columns: object) -> list[UUID]:
    hook = make_webhook(name="Finance", failures_in_row=7)
    failed = {"status": "failed", "reason": "server", "code": 500, **columns}
    return [make_delivery(hook, **failed) for _ in range(count)]


def statuses(made: list[UUID]) -> list[str]:
    return [stored(delivery)["status"] for delivery in made]


def ask(pages: Pages, made: list[UUID], at: str = "/deliveries") -> Page:
    """Select these deliveries in the log and open the question."""
    bar = pages.get(at).form("/deliveries/retry")
    return pages.submit(bar, SELECTED, delivery=list(map(str, made)))


def question(page: Page) -> Form:
    return page.form(page.path)


def test_selected_deliveries_are_dismissed_after_a_question_and_undone(sam: Pages) -> None:
    made = broken(12)
    page = ask(sam, made[2:5], "/deliveries?status=attention&sort=when")
    assert page.h1 == "Dismiss 3 deliveries to Finance?"
    page = sam.submit(page.form(), reason="<b>Known</b> outage")
    assert page.path == "/deliveries?status=attention&sort=when"
    assert page.flashes == [("success", "Dismissed 3 deliveries. Undo")]
    assert len(page.rows()) == 9
    listed = sam.get("/deliveries?status=dismissed")
    assert len(listed.rows()) == 3
    assert "&lt;b&gt;Known&lt;/b&gt; outage" in listed.html
    of_one = sam.get(f"/deliveries/{made[2]}")
    assert "Sam dismissed this" in of_one.main
    assert ": <b>Known</b> outage" in of_one.main
    (undo,) = [form for form in page.forms if "dismissal=" in form.action]
    page = sam.submit(undo)
    assert page.flashes == [
        (
            "success",
            "Restored 3 deliveries (3 failed). We don’t retry failed deliveries automatically.",
        )
    ]
    assert set(statuses(made)) == {"failed"}


def test_dismissing_a_problem_takes_all_its_counted_deliveries(sam: Pages) -> None:
    made = broken(4)
    hook = {"webhook_id": stored(made[0])["webhook_id"]}
    made += [make_delivery(status="retrying", reason="server", code=500, tries=4)]
    change(made[4], **hook)
    page = sam.get("/deliveries")
    assert troubled(page)[0][1] == "5 4 failed, 1 retrying"
    page = sam.follow("Dismiss 5")
    assert page.h1 == "Dismiss 5 deliveries to Finance?"
    page = sam.submit(page.form())
    assert page.flashes == [("success", "Dismissed 5 deliveries. Undo")]
    assert troubled(page) == []


def test_a_delivery_is_dismissed_and_restored_on_its_page(sam: Pages) -> None:
    made = broken(3)
    page = sam.get(f"/deliveries/{made[1]}")
    page = sam.follow("Dismiss")
    assert page.h1 == "Dismiss 1 delivery to Finance?"
    page = sam.submit(page.form(), reason="Test data")
    assert page.path == f"/deliveries/{made[1]}"
    assert page.main.count("Sam dismissed this") == 1
    page = sam.submit(page.form(RESTORE))
    assert page.path == f"/deliveries/{made[1]}"
    assert statuses(made) == ["failed"] * 3


def test_deliveries_dismissed_together_are_restored_from_one_page(sam: Pages) -> None:
    made = broken(3)
    sam.submit(ask(sam, made).form())
    sam.get(f"/deliveries/{made[0]}")
    page = sam.follow("Restore all 3")
    assert page.h1 == "Restore 3 deliveries?"
    page = sam.submit(page.form())
    assert (page.path, set(statuses(made))) == (f"/deliveries/{made[0]}", {"failed"})


def test_deliveries_that_were_not_dismissed_are_named(sam: Pages) -> None:
    made = broken(3, asset_tag="AST-7")
    page = ask(sam, made)
    change(made[0], status="delivered")
    change(made[1], status="dismissed", prior_status="failed")
    page = sam.submit(page.form())
    assert page.flashes == [
        (
            "success",
            "Dismissed 1 delivery. 1 was already delivered: Asset created AST-7. 1 was already "
            "dismissed: Asset created AST-7. Undo",
        )
    ]
    assert sam.get(f"{DISMISS}?delivery={made[0]}").h1 == "Nothing to dismiss"


def test_a_deleted_webhooks_delivery_is_not_restored_but_others_are(sam: Pages) -> None:
    made = broken(2)
    gone = make_delivery(make_webhook(name="Old ERP", deleted_at=utcnow()), status="failed")
    page = ask(sam, [*made, gone])
    assert page.h1 == "Dismiss 3 deliveries to 2 webhooks?"
    sam.submit(page.form())
    listed = sam.get("/deliveries?status=dismissed")
    assert "to Old ERP (deleted)" in listed.main
    assert sum(RESTORE in form.action for form in listed.forms) == 2
    bar = listed.form("/deliveries/retry")
    page = sam.submit(bar, "Restore", delivery=[str(delivery) for delivery in (*made, gone)])
    assert page.flashes == [
        (
            "success",
            "Restored 2 deliveries (2 failed). We don’t retry failed deliveries automatically. "
            "1 can’t be restored because its webhook was deleted: "
            "Asset created AST-00007.",
        )
    ]


def test_dismissing_many_runs_as_a_background_task(
    sam: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dismissals, "MOST_TICKED", 2)
    hook = make_webhook(name="Finance")
    made = [make_delivery(hook, status="failed") for _ in range(5)]
    page = sam.get(f"{DISMISS}?all=1&status=failed")
    assert page.h1 == "Dismiss 5 deliveries?"
    page = sam.get(f"{DISMISS}?all=1&status=failed&webhook={hook.public_id}")
    assert page.h1 == "Dismiss 5 deliveries to Finance?"
    page = sam.submit(page.form(), reason="Outage")
    assert page.h1 == "Dismiss deliveries"
    job.work(KINDS)
    page = sam.get(page.path)
    assert "5 dismissed." in page.main
    page = sam.follow("Restore these")
    page = sam.submit(page.form())
    job.work(KINDS)
    assert "5 restored." in sam.get(page.path).main
    assert set(statuses(made)) == {"failed"}


def test_a_malformed_url_dismisses_and_restores_nothing(sam: Pages) -> None:
    made = broken(1)
    assert sam.get(DISMISS).flashes == [("info", "Select at least 1 delivery.")]
    assert sam.get(f"{DISMISS}?delivery=x").flashes == [("info", "Select at least 1 delivery.")]
    assert sam.get(f"{DISMISS}?delivery={uuid4()}").h1 == "Nothing to dismiss"
    assert sam.get(f"{DISMISS}?all=1&code=abc").status == 400
    assert sam.get(f"{RESTORE}?dismissal=x").flashes == [("info", "Nothing to restore.")]
    assert sam.post(RESTORE, {"delivery": "x"}).status == 400
    assert sam.get(f"{RESTORE}?dismissal={uuid4()}").flashes == [("info", "Nothing to restore.")]
    evil = sam.get(f"{DISMISS}?delivery={made[0]}&back=//evil.example.com")
    assert evil.links("Cancel") == ["/"]
    assert sam.get("/deliveries/problems/dismissed").path == "/deliveries?status=dismissed"
    assert statuses(made) == ["failed"]
