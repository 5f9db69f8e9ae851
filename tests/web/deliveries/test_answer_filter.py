"""Deliveries can be searched by the text of their responses."""

from urllib.parse import urlencode
from uuid import UUID

from flask import Flask

from portal.engine.answer_words import MOST_READ
from portal.models.deliveries import Delivery
from portal.services.core.unit_of_work import session
from tests.support.deliveries import make_attempt, make_delivery
from tests.support.factories import Hook, make_webhook
from tests.web.home.test_home import troubled
from tests.web.signed_in import visit

MISSING = "asset.serial_number is missing"
TICKED = "/deliveries/retry"


def failed(hook: Hook, *answers: str) -> UUID:
    """Make a failed delivery with one attempt per response, all with code 500."""
    made = make_delivery(hook, status="failed", reason="server", code=500)
    for text in answers:
        make_attempt(made, reason="server", code=500, response_text=text)
    return made


def test_deliveries_with_the_same_response_can_be_found_and_dismissed(app: Flask) -> None:
    hook = make_webhook(name="Finance")
    for _ in range(9):
        failed(hook, "busy")
    known = [failed(hook, f'{{"code": 7, "error": "{MISSING}"}}') for _ in range(3)]
    pages = visit(app, "support", name="Sam")
    assert troubled(pages.get("/deliveries"))[0][1].startswith("12 ")

    page = pages.get(f"/deliveries/{known[0]}")
    page = pages.get(page.links("Find similar responses")[0])
    assert f"Response contains: {MISSING}" in page.main
    assert [row[-3] for row in page.rows()] == [f"Server error (500){MISSING}"] * 3
    ids = list(map(str, known))
    page = pages.submit(page.form(TICKED), "Dismiss", delivery=ids)
    pages.submit(page.form())
    assert troubled(pages.get("/deliveries"))[0][1].startswith("9 ")


def test_an_earlier_response_is_found_and_marked_as_earlier(app: Flask) -> None:
    hook = make_webhook(name="Finance")
    failed(hook, f"first\nsecond: {MISSING}", "busy")
    failed(hook, "busy")
    pages = visit(app, "support")
    (row,) = pages.get("/deliveries?answer=SERIAL_number").rows()
    assert row[5] == f"Server error (500)Earlier: second: {MISSING}"
    assert len(pages.get("/deliveries?answer=busy").rows()) == 2
    for nothing in ("missing busy", "%", "serial%number"):
        page = pages.get("/deliveries?" + urlencode({"answer": nothing}))
        assert (page.rows(), "No matching deliveries" in page.main) == ([], True)


def test_only_a_searchable_error_response_links_to_similar_ones(app: Flask) -> None:
    well, doubtful = make_delivery(status="delivered"), make_delivery(status="delivered")
    silent, folded = make_delivery(status="failed"), make_delivery(status="failed")
    make_attempt(well, outcome="delivered", code=200, response_text="thank you")
    make_attempt(doubtful, outcome="delivered", code=200, response_text="an error")
    make_attempt(silent, reason="server", code=500, response_text="")
    make_attempt(folded, reason="server", code=500, response_text='{"error": "a \\"b\\""}')
    pages = visit(app, "support")

    def links(made: UUID) -> int:
        return len(pages.get(f"/deliveries/{made}").links("Find similar responses"))

    assert [links(delivery) for delivery in (well, doubtful, silent, folded)] == [0, 1, 0, 0]


def test_bulk_retry_and_export_honor_the_response_filter(app: Flask) -> None:
    hook = make_webhook(name="Finance")
    failed(hook, "busy")
    failed(hook, MISSING)
    pages = visit(app, "support")
    page = pages.get("/deliveries?" + urlencode({"answer": MISSING}))
    (address,) = page.links("CSV for Excel")
    text = pages.client.get(address, buffered=True).text
    assert (MISSING in text, "busy" in text) == (True, False)
    page = pages.get(page.links("Retry 1")[0])
    assert page.h1 == "Retry 1 delivery to Finance?"
    assert f"Response contains “{MISSING}”" in page.main


def test_a_match_beyond_the_read_limit_of_a_response_is_found(app: Flask) -> None:
    failed(make_webhook(), "x" * MOST_READ + "needle")
    (row,) = visit(app, "support").get("/deliveries?answer=needle").rows()
    assert row[5].endswith("x" * 40 + "needle")
    assert session().query(Delivery).count() == 1


def test_a_search_text_that_is_too_long_is_refused_at_its_field(app: Flask) -> None:
    page = visit(app, "support").get("/deliveries?answer=" + "x" * 121)
    assert (page.status, page.errors) == (400, ["Enter at most 120 characters"])


def test_an_empty_search_links_to_the_response_search(app: Flask) -> None:
    failed(make_webhook(name="Finance"), "asset.serial_number is missing")
    pages = visit(app, "support")
    words = "serial_number is missing"
    label = f"Search responses for “{words}”"
    (link,) = pages.get(f"/deliveries?q={words}&status=failed").links(label)
    assert len(pages.get(link).rows()) == 1
    assert "status=failed" in link
    (link,) = pages.get("/find?q=nothing like it").links("Search responses for “nothing like it”")
    assert pages.get(link).rows() == []
    assert pages.get("/find").links("Search responses") == []
    assert visit(app, "manager").get("/find?q=nothing like it").links("Search responses")
    assert pages.get("/find?q=" + "x" * 200).links("Search responses") == []
