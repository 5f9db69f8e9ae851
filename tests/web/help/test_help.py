"""Help answers questions through links, anchors, and a search for the words that people type."""

from urllib.parse import urlsplit

import pytest
from flask import Flask

from portal.engine.reasons import Reason, reason_for_code
from portal.models.people import Role
from portal.web.frame.status_tags import DELIVERY, WEBHOOK
from portal.web.help.anchors import in_words
from portal.web.help.topics import TOPICS, help_link
from tests.support.deliveries import make_attempt, make_delivery
from tests.support.factories import make_webhook
from tests.support.pages import Page, Pages
from tests.web.signed_in import visit

STATUSES = "/help/delivery-status"
WHY = "Why didn’t it arrive?"


def ids(page: Page) -> set[str]:
    return {node.get("id") for node in page.root.walk() if node.has("id")}


def results(pages: Pages, question: str) -> list[str]:
    """Return the links that the search finds, best first."""
    page = pages.get("/help", query_string={"q": question})
    lists = [node for node in page.root.find_all("ul") if "help-found" in node.get("class")]
    return [link.get("href") for node in lists for link in node.find_all("a")]


def test_every_anchor_in_the_table_is_a_card_and_in_the_index(support: Pages) -> None:
    listed = support.get("/help").links()
    for name, topic in TOPICS.items():
        page = support.get(f"/help/{name}")
        cards = [node.get("id") for node in page.root.find_all("section") if node.has("id")]
        assert cards == list(topic.anchors), name
        assert page.h1 == topic.title
        assert [f"/help/{name}#{anchor}" in listed for anchor in topic.anchors].count(False) == 0


def test_a_link_to_an_unknown_topic_or_anchor_is_an_error(app: Flask) -> None:
    with app.test_request_context():
        for name, anchor in (("nonsense", ""), ("retry", "nonsense")):
            with pytest.raises(LookupError):
                help_link(name, "", anchor)


@pytest.mark.parametrize("role", list(Role))
def test_every_link_in_help_leads_to_an_existing_anchor(app: Flask, role: Role) -> None:
    pages = visit(app, role)
    known: dict[str, Page] = {}
    for path in ("/help", *(f"/help/{name}" for name in TOPICS)):
        for link in set(pages.get(path).links()):
            parts = urlsplit(link)
            if not parts.path.startswith("/"):
                continue
            target = parts._replace(fragment="").geturl()
            page = known[target] = known.get(target) or pages.get(target)
            assert page.status == 200, (path, link)
            assert not parts.fragment or parts.fragment in ids(page), (path, link)


def test_every_status_reason_and_code_has_an_anchor(support: Pages) -> None:
    anchors = ids(support.get(STATUSES))
    assert {*Reason, *DELIVERY} - anchors == set()
    assert {f"webhook-{name}" for name in WEBHOOK} - anchors == set()
    assert {str(code) for code in range(100, 1000)} - anchors == set()


def test_the_anchor_of_a_code_is_in_the_row_of_its_reason(support: Pages) -> None:
    page = support.get(STATUSES)
    rows = {
        node.get("id"): row.get("id")
        for row in page.root.find_all("div")
        if row.find_all("dt") and row.has("id")
        for node in row.walk()
        if node.has("id")
    }
    for code in (301, 401, 404, 418, 422, 500, 503, 520, 999):
        assert rows[str(code)] == reason_for_code(code), code
    assert rows["204"] == "delivered"
    assert rows["no_reply"] == "reset"  # they read alike
    assert "Codes 500, 501, 505 to 599" in page.main
    assert in_words([1, 2, 3, 5, 7, 8]) == "1 to 3, 5, 7, 8"


def test_a_log_line_links_to_its_delivery_and_that_to_its_explanation(
    support: Pages,
) -> None:
    for reason, code, anchor in (("bad_request", 422, "422"), ("dns", None, "dns")):
        made = make_delivery(status="failed", reason=reason, code=code)
        make_attempt(made, reason=reason, code=code)
        page = support.get("/deliveries?event=asset.created")
        row = next(row for row in page.root.find_all("tr") if str(made) in str(row.get("id")))
        links = [link for link in row.find_all("a") if "/retry" not in link.get("href")]
        assert len(links) == 3, "event, webhook, and reason"
        assert {link.get("href").partition("?")[0] for link in links} == {f"/deliveries/{made}"}
        assert f"{STATUSES}#{anchor}" in support.get(f"/deliveries/{made}").links()


def test_help_for_missing_deliveries_is_linked_where_they_are_shown(support: Pages) -> None:
    hook = make_webhook(name="Helpdesk", failures_in_row=6)
    made = make_delivery(hook, status="failed", reason="refused")
    for path in ("/", "/deliveries", "/deliveries?q=nothing", f"/deliveries/{made}"):
        assert support.get(path).links(WHY), path


def test_help_is_linked_from_every_page(support: Pages) -> None:
    for path in ("/", "/assets", "/account", "/nowhere"):
        assert support.get(path).links("Help").count("/help") == 2, path  # header and footer


def test_the_search_finds_a_status_code_first(support: Pages) -> None:
    for code in range(100, 1000, 97):
        for question in (str(code), f"HTTP {code}", f"what does error-{code} mean?"):
            assert results(support, question)[0] == f"{STATUSES}#{code}", question


def test_help_for_202_links_to_help_for_missing_messages(support: Pages) -> None:
    for question in ("202", "what does 202 mean"):
        assert "before they act on it" in support.get("/help", query_string={"q": question}).main
    page = support.get(f"{STATUSES}#202")
    assert "/help/no-message#delivered" in page.links()
    assert "/help/connect#teams" in support.get("/help/no-message").links()


QUESTIONS = {
    "why didn't it arrive": {"/help/no-message"},
    "TIMEOUTS": {f"{STATUSES}#connect_timeout", f"{STATUSES}#read_timeout"},
    "certificate expired": {f"{STATUSES}#tls_expired"},
    "verify signature": {"/help/receiver#signature"},
    "duplicates": {"/help/receiver#repeats"},
    "check out": {"/help/register#lend"},
    "réservation": {"/help/register#reserve"},
    "repair cost": {"/help/register#trouble"},
    "returned broken": {"/help/register#trouble"},
    "import csv": {"/help/register#import"},
    "what does queued mean": {f"{STATUSES}#queued"},
    "cancel a delivery": {"/help/retry#dismiss"},
    "bulk retry": {"/help/retry#many"},
    "How do I replace a leaked key?": {"/help/running#keys"},
    "who changed what": {"/help/running#audit"},
    "note for colleagues": {"/help/webhooks#colleagues"},
    "zapier": {"/help/connect#zapier"},
    "tell our teams channel": {"/help/connect#teams"},
    "mattermost": {"/help/connect#slack"},
    "forgot password": {"/help/running#signed-in"},
    "is the system running": {"/help/running#system"},
    "time zone": {"/help/running#zones"},
    "API": {"/help/running#api"},
    "filter a list": {"/help/register#lists"},
    "print": {"/help/register#lists"},
    "export": {"/help/register#lists"},
    "merge": {"/help/register#merge"},
    "erase": {"/help/running#erase"},
    "gdpr": {"/help/running#erase"},
    "backup": {"/help/running#backups"},
    "slack": {"/help/connect#slack"},
    "barcode": {"/help/register#not-yet"},
    "single sign-on": {"/help/running#not-yet"},
    "two-factor": {"/help/running#not-yet"},
    "stop the ERP until Monday": {"/help/held#until"},
    "snooze a webhook": {"/help/held#until"},
    "who hears of low stock?": {"/help/alerts#who"},
    "mail the office when something is late": {"/help/alerts#email"},
    "email alerts": {"/help/alerts#email"},
    "signature secret": {"/help/receiver#signature"},
    "reliability": {"/help/webhooks#promise"},
    "not in the log": {"/help/no-message#log"},
}


def test_the_search_finds_the_topic_of_each_question(support: Pages) -> None:
    wrong = {
        question: best
        for question, places in QUESTIONS.items()
        if set(best := results(support, question)[: len(places)]) != places
    }
    assert wrong == {}
    excerpts = support.get("/help?q=token+expired").root.find_all("p")
    assert not [excerpt.text for excerpt in excerpts if "expiredThe" in excerpt.text]


def test_the_search_lists_20_results_and_cuts_a_long_query(support: Pages) -> None:
    assert len(results(support, "webhook")) == 20
    assert results(support, f"{'certificate':120}zapier") == results(support, "certificate")


def test_a_search_without_results_keeps_its_query(support: Pages) -> None:
    page = support.get("/help", query_string={"q": "<b>xyzzy</b>"})
    assert "No results for “<b>xyzzy</b>”" in page.main
    assert page.form("/help").fields["q"] == ["<b>xyzzy</b>"]
    # Numbers occur in the help only by chance.
    for nothing in ("  ", "HikariPool-1"):
        assert results(support, nothing) == []
