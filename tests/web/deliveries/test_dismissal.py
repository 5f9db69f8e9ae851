"""Dismiss says how many, is undone, and is told on the page of what it was pressed for."""

from flask import Flask
from sqlalchemy import select

from portal.models.audit import AuditEntry
from portal.services.core.unit_of_work import session
from tests.support.deliveries import make_delivery
from tests.support.factories import make_webhook
from tests.support.pages import Page
from tests.web.home.test_home import problems
from tests.web.signed_in import visit

DISMISS, BRING_BACK = "/deliveries/problems/dismiss", "/deliveries/problems/bring-back"
BOTH = ["Dismiss this one", "Dismiss the 2 that failed for this reason"]


def buttons(page: Page, words: str) -> list[str]:
    return [node.text for node in page.root.find_all("button") if words in node.text]


def test_a_problem_is_dismissed_by_its_number_and_brought_back(app: Flask) -> None:
    hook = make_webhook(name="Finance", failures_in_row=7)
    for _ in range(3):
        made = make_delivery(hook, status="failed", reason="server", code=500)
    for _ in range(9):
        make_delivery(hook, status="retrying", reason="server", code=500, tries=4)
    pages = visit(app, "support", name="Sam")
    page = pages.get("/deliveries")
    assert "12 deliveries" in problems(page)[0]
    assert [each.split(" that")[0] for each in buttons(page, "Dismiss")] == [
        "Dismiss 3",
        "Dismiss selected",
    ]

    page = pages.submit(page.form(DISMISS))
    assert "9 deliveries" in problems(page)[0]
    page = pages.get(page.links("Show dismissed")[0])
    (row,) = page.rows()
    assert row[:3] == ["Finance", "Server error", "3"]
    assert row[3].endswith("by Sam")

    page = pages.submit(page.form(BRING_BACK))
    assert "Brought back. 3 deliveries are listed as a problem again." in page.text
    assert "Nothing is dismissed" in page.main
    assert "12 deliveries" in problems(pages.get("/deliveries"))[0]
    told = session().scalars(select(AuditEntry.action).order_by(AuditEntry.id)).all()
    assert told[-2:] == ["webhook.problem_dismissed", "webhook.problem_brought_back"]
    assert (
        "brought back a dismissed problem"
        in pages.get(f"/settings/webhooks/{hook.public_id}/history").main
    )
    assert "Bring back" not in visit(app, "manager").get(f"/deliveries/{made}").main


def test_each_brings_back_what_was_dismissed_by_one_act(app: Flask) -> None:
    hook = make_webhook(name="Finance")
    sam, ana = (visit(app, "support", name=name) for name in ("Sam", "Ana"))
    path = "/deliveries/problems/dismissed"
    for each in (ana, sam, sam):
        made = make_delivery(hook, status="failed", reason="server", code=500)
        page = each.get(f"/deliveries?q={made}")
        each.submit(page.form("/deliveries/retry"), "Dismiss selected", delivery=[str(made)])

    def lines() -> list[tuple[str, str]]:
        return [(row[2], row[3].rpartition(" by ")[2]) for row in sam.get(path).rows()]

    assert lines() == [("2 selected", "Sam"), ("1 selected", "Ana")]
    # A whole problem takes in all that was selected before, and gives it back as it was.
    make_delivery(hook, status="failed", reason="server", code=500)
    ana.submit(ana.get("/deliveries").form(DISMISS))
    assert lines() == [("4", "Ana")]
    page = sam.submit(sam.get(path).form(BRING_BACK))
    assert "Brought back. 1 delivery is listed as a problem again." in page.text
    assert lines() == [("2 selected", "Sam"), ("1 selected", "Ana")]
    mine = page.form(BRING_BACK)
    assert "Brought back. 2 deliveries are listed" in sam.submit(mine).text
    assert "There is nothing to bring back" in sam.submit(mine).text
    assert lines() == [("1 selected", "Ana")]
    assert "3 deliveries" in problems(sam.get("/deliveries"))[0]


def test_once_all_is_put_aside_nothing_needs_attention(app: Flask) -> None:
    hook = make_webhook(name="Finance")
    make_delivery(hook, status="failed", reason="server", code=500)
    pages = visit(app, "support")
    path = f"/deliveries?status=attention&webhook={hook.public_id}&reason=server&code="
    page = pages.submit(pages.get(path).form(DISMISS))
    assert "Nothing here needs attention" in page.main
    assert "Nothing needs attention" in pages.get("/deliveries?status=attention").main
    assert "Nothing here needs attention" in pages.get("/deliveries?status=attention&code=404").main
    assert "No delivery matches" in pages.get("/deliveries?status=attention&q=AST-1").main


def test_a_failed_delivery_is_dismissed_on_its_page_which_says_by_whom(app: Flask) -> None:
    hook = make_webhook(name="Finance")
    made = make_delivery(hook, status="failed", reason="server", code=500)
    pages = visit(app, "support", name="Sam")
    page = pages.get(f"/deliveries/{made}")
    assert buttons(page, "Dismiss") == ["Dismiss"]
    other = make_delivery(hook, status="failed", reason="server", code=500)
    page = pages.get(f"/deliveries/{made}")
    assert buttons(page, "Dismiss") == BOTH

    page = pages.submit(page.form(DISMISS))
    assert page.path == f"/deliveries/{made}"
    assert "by Sam: it stays Failed, and is not listed as a problem." in page.main
    assert "by Sam" in pages.get(f"/deliveries/{other}").main
    page = pages.submit(page.form(BRING_BACK))
    assert "Dismissed" not in page.main
    assert buttons(page, "Dismiss") == BOTH
    assert buttons(pages.get(f"/deliveries/{make_delivery(hook)}"), "Dismiss") == []


def test_what_was_dismissed_before_stays_so_when_the_last_is_brought_back(app: Flask) -> None:
    hook = make_webhook(name="Finance")
    pages = visit(app, "support", name="Sam")
    made = []
    for _ in range(2):
        made.append(make_delivery(hook, status="failed", reason="server", code=500))
        pages.submit(pages.get("/deliveries").form(DISMISS))
    pages.submit(pages.get("/deliveries/problems/dismissed").form(BRING_BACK))
    assert "1 delivery" in problems(pages.get("/deliveries"))[0]
    assert "Dismissed: it stays Failed" in pages.get(f"/deliveries/{made[0]}").main
    pages.submit(pages.get("/deliveries/problems/dismissed").form(BRING_BACK))
    assert "2 deliveries" in problems(pages.get("/deliveries"))[0]
