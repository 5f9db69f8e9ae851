"""Help is a page with subjects and a search; every status, reason and code has its place."""

from urllib.parse import urlsplit

import pytest
from flask import Flask

from portal.engine.reasons import Reason, ReasonGroup, reason_for_code
from portal.models.deliveries import DeliveryStatus
from portal.models.people import Role
from portal.services.outbox.due import ShownStatus
from portal.services.webhooks.queries import WebhookStatus
from portal.web.help.anchors import anchor_of, in_words
from portal.web.help.topics import SUBJECTS, TOPICS
from tests.support.deliveries import make_attempt, make_delivery
from tests.support.pages import Page, Pages
from tests.web.signed_in import visit

STATUS_PAGE = "/help/delivery-status"
PAGES = ["/help", "/help/webhooks", "/help/no-message", STATUS_PAGE]
PAGES += [f"/help/{name}" for name in TOPICS]


@pytest.fixture
def support(app: Flask) -> Pages:
    """Support staff, signed in."""
    return visit(app, "support")


def ids(page: Page) -> set[str]:
    return {node.get("id") for node in page.root.walk() if node.has("id")}


def found(pages: Pages, question: str) -> list[str]:
    """Where the search leads, the best first."""
    page = pages.get("/help", query_string={"q": question})
    lists = [each for each in page.root.find_all("ul") if "help-found" in each.get("class")]
    return [link.get("href") for each in lists for link in each.find_all("a")]


def test_every_reason_status_and_code_has_an_anchor(support: Pages) -> None:
    there = ids(support.get(STATUS_PAGE))
    assert {str(each) for each in Reason} - there == set()
    assert {str(each) for each in (*ShownStatus, *DeliveryStatus)} - there == set()
    assert {f"webhook-{each}" for each in WebhookStatus} - there == set()
    assert {str(each) for each in ReasonGroup} - there == set()
    assert {str(code) for code in range(100, 1000)} - there == set()


def test_a_code_stands_in_the_line_of_its_reason(support: Pages) -> None:
    page = support.get(STATUS_PAGE)
    lines = {
        node.get("id"): row.get("id")
        for row in page.root.find_all("tr")
        for node in row.walk()
        if node.has("id")
    }
    for code in (301, 401, 404, 418, 422, 500, 503, 520, 999):
        assert lines[str(code)] == str(reason_for_code(code)), code
    assert lines["204"] == "delivered"
    assert lines["no_reply"] == "reset"  # they read the same


def test_the_codes_of_a_reason_are_named(support: Pages) -> None:
    page = support.get(STATUS_PAGE)
    assert "Codes 500, 501, 505 to 599" in page.main
    assert "Code 404" in page.main
    assert in_words([400]) == "400"
    assert in_words([1, 2, 3, 5, 7, 8]) == "1 to 3, 5, 7, 8"


def test_the_anchor_is_the_code_only_where_the_reason_was_read_from_it() -> None:
    assert anchor_of(Reason.BAD_REQUEST, 422) == "422"
    assert anchor_of(Reason.READ_TIMEOUT, 200) == "read_timeout"
    assert anchor_of(Reason.DNS) == "dns"


@pytest.mark.parametrize("role", list(Role))
def test_every_link_of_the_help_leads_to_a_place_that_is_there(app: Flask, role: Role) -> None:
    pages = visit(app, role)
    known: dict[str, Page] = {}

    def page_at(path: str) -> Page:
        return known.setdefault(path, pages.get(path)) if path not in known else known[path]

    for path in PAGES:
        page = page_at(path)
        assert page.status == 200, path
        for link in set(page.links()):
            parts = urlsplit(link)
            if not parts.path.startswith("/"):
                continue
            target = f"{parts.path}?{parts.query}" if parts.query else parts.path
            assert page_at(target).status == 200, (path, link)
            assert not parts.fragment or parts.fragment in ids(page_at(target)), (path, link)


def test_all_topics_stand_in_the_index(support: Pages) -> None:
    page = support.get("/help")
    assert page.h1 == "Help"
    assert page.here == ["Help"]
    paths = {urlsplit(link).path for link in page.links()}
    assert set(PAGES) - paths == set()
    for subject in SUBJECTS:
        assert subject.title in page.main
    codes = [link.rpartition("#")[2] for link in page.links() if link.startswith(f"{STATUS_PAGE}#")]
    looked_up = ["401", "403", "404", "409", "410", "413", "422", "429", "500", "503"]
    assert [each for each in codes if each.isdecimal()] == looked_up


def test_only_who_may_go_there_is_sent_there(app: Flask) -> None:
    assert visit(app, "admin").get("/help/running").links("Audit") == ["/settings/audit"]
    assert "/settings/audit" not in visit(app, "support").get("/help/running").links()


def test_it_asks_for_signing_in(app: Flask) -> None:
    assert Pages(app).get("/help").h1 == "Sign in"


def test_a_topic_that_is_none_is_not_found(support: Pages) -> None:
    assert support.get("/help/nonsense").status == 404


def test_the_search_leads_from_a_code_to_its_line(support: Pages) -> None:
    for code in (401, 403, 404, 409, 410, 413, 418, 422, 429, 500, 503, 302, 204):
        for question in (str(code), f"HTTP {code}", f"error-{code}!", f"what does {code} mean?"):
            assert found(support, question)[0] == f"{STATUS_PAGE}#{code}", question


NO_NAME = (
    "We could not find the server. Check the address for typing mistakes. If it is right, ask its "
    "owner whether the name is set up."
)
SLOWER = (
    "The receiver asked us to slow down. Usually nothing: we slow down automatically. If no retry "
    "is planned, wait, then Retry."
)
PAUSED = (
    "It is on, but its receiver isn't responding. We leave it alone, for 5 seconds at first and "
)
ROLES = "Everybody who signs in may read assets, deliveries, webhooks and alerts. Support may also "


SAID = [
    ("dns", "Server not found", NO_NAME),
    ("429", "429: Asked us to slow down", SLOWER),
    ("42x", "Asked us to slow down", SLOWER),
    ("204", "204: delivered", "The receiver answered that it has it."),
    ("20x", "200: delivered", "The receiver answered that it has it."),
    ("sending", "Status Sending", "It is on its way to the receiver at this moment."),
    ("paused", "Status Paused, of a webhook", PAUSED),
    ("roles", "Users and roles", ROLES),
    ("zapier", "To connect a system", "Its address, the events it should hear of, "),
]


def test_of_what_is_found_title_and_beginning_are_told(support: Pages) -> None:
    for question, title, text in SAID:
        page = support.get("/help", query_string={"q": question})
        (listed,) = [each for each in page.root.find_all("ul") if "help-found" in each.get("class")]
        told = {
            item.find_all("a")[0].text: item.find_all("p")[0].text for item in listed.find_all("li")
        }
        assert told[title].startswith(text), question
        assert told[title] == text or not text.endswith("."), question


def test_the_search_finds_every_code_there_is(support: Pages) -> None:
    missed = [
        code
        for code in range(100, 1000, 7)
        if found(support, str(code))[:1] != [f"{STATUS_PAGE}#{code}"]
    ]
    assert missed == []


FIRST = [
    ("TIMEOUT", {"#connect_timeout", "#read_timeout"}),
    ("timeouts", {"#connect_timeout", "#read_timeout"}),
    ("certificate", {"#tls_expired", "#tls_untrusted", "#tls_name", "#tls_other"}),
    ("Certificate expired", {"#tls_expired"}),
    ("econnrefused", {"#refused"}),
    ("rate limit", {"#rate"}),
    ("Paused", {"#paused", "#webhook-paused"}),
    ("held", {"#held"}),
    ("Stopped", {"#stopped"}),
    ("5xx", {"#server", "#unavailable"}),
    ("50x", {"#server", "#unavailable"}),
    ("dns", {"#dns"}),
]


def test_the_search_knows_the_words_that_people_use(support: Pages) -> None:
    for question, first in FIRST:
        places = found(support, question)[: len(first)]
        assert {place.removeprefix(STATUS_PAGE) for place in places} == first, question


TEXTS = [
    ("why did I not get it", "/help/no-message"),
    ("signature", "/help/receiver#signature"),
    ("lend", "/help/register#lend"),
    ("check out", "/help/register#lend"),
    ("bulk retry", "/help/retry#many"),
    ("worker", "/help/running#system"),
    ("réservation", "/help/register#reserve"),
    ("who changed what", "/help/running#audit"),
    ("zapier", "/help/webhooks#connect"),
    ("leaked", "/help/running#keys"),
    ("secret key", "/help/running#keys"),
    ("replace", "/help/running#keys"),
    ("How do I replace a leaked key?", "/help/running#keys"),
]


def test_the_search_finds_texts(support: Pages) -> None:
    for question, place in TEXTS:
        assert place in found(support, question)[:3], question


BY_HAND = [
    ("checklist", "/help/no-message"),
    ("did it really happen", "/help/no-message#happened"),
    ("does the webhook ask for this event", "/help/no-message#asked"),
    ("was the webhook there at that time", "/help/no-message#then"),
    ("delivered yet nothing to be seen", "/help/no-message#delivered"),
    ("introduction", "/help/webhooks"),
    ("connect a system", "/help/webhooks#connect"),
    ("what do we promise", "/help/webhooks#promise"),
    ("glossary", "/help/webhooks#words"),
    ("try it without a receiver", "/inbox"),
    ("catalogue", "/settings/webhooks/events"),
]


def test_the_search_finds_each_page_that_is_written_by_hand(support: Pages) -> None:
    for question, place in BY_HAND:
        assert found(support, question)[0] == place, question


def test_the_search_reads_no_more_of_a_question_than_its_field_takes(support: Pages) -> None:
    assert found(support, f"{'certificate':120}zapier") == found(support, "certificate")
    assert "/help/webhooks#connect" in found(support, f"{'zapier':>120}")


def test_the_search_takes_three_letters_for_the_beginning_of_a_word(support: Pages) -> None:
    assert "/help/webhooks#connect" in found(support, "zap")
    assert "/help/webhooks#connect" not in found(support, "za")


def test_the_search_takes_no_word_for_a_longer_one(support: Pages) -> None:
    assert "/help/running#zones" not in found(support, "timeout")
    assert found(support, "time zone")[0] == "/help/running#zones"


BEFORE_OTHERS = [
    ("port", [f"{STATUS_PAGE}#refused", f"{STATUS_PAGE}#internal"]),
    ("receive", ["/help/register#stock", f"{STATUS_PAGE}#conflict", "/inbox"]),
    ("changed", ["/help/running#audit", "/help/running#keys", "/help/register#import"]),
]


def test_the_very_word_comes_before_one_that_is_alike_and_a_title_before_a_text(
    support: Pages,
) -> None:
    for question, first in BEFORE_OTHERS:
        assert found(support, question)[: len(first)] == first, question


ALIKE = [
    ("users", ["/help/running#roles", "/help/running#signed-in"]),
    ("checkout", ["/help/register#lend"]),
    ("lookup", [f"{STATUS_PAGE}#dns", "/help/no-message"]),
]


def test_a_word_is_alike_that_is_four_letters_long_and_two_longer_at_most(support: Pages) -> None:
    for question, places in ALIKE:
        assert found(support, question) == places, question


def test_a_search_that_finds_nothing_says_so_and_keeps_what_was_typed(support: Pages) -> None:
    page = support.get("/help", query_string={"q": "<b>xyzzy</b>"})
    assert "Nothing found for “<b>xyzzy</b>”" in page.main
    assert page.form("/help").fields["q"] == ["<b>xyzzy</b>"]
    assert "Something did not arrive" in page.main
    assert found(support, "  ") == []


def test_log_and_delivery_lead_to_the_line_that_explains_them(support: Pages) -> None:
    made = make_delivery(status="failed", reason="bad_request", code=422)
    make_attempt(made, reason="bad_request", code=422)
    never = make_delivery(status="failed", reason="dns")
    make_attempt(never, reason="dns")
    page = support.get("/deliveries?event=asset.created")  # without problems above it
    assert page.links("Content not accepted (422)") == [f"{STATUS_PAGE}#422"]
    assert page.links("Server not found") == [f"{STATUS_PAGE}#dns"]
    explained = support.get(f"/deliveries/{made}").links("All reasons explained")
    assert explained == [f"{STATUS_PAGE}#422"]
    assert support.get(f"/deliveries/{never}").links("All reasons explained") == [
        f"{STATUS_PAGE}#dns"
    ]


def test_the_numbers_are_those_of_this_installation(support: Pages) -> None:
    page = support.get(STATUS_PAGE)
    assert "up to 10 times over 3 days 3 h" in page.main
    assert "The result comes within 2 seconds." in page.main
    assert "It is kept for 30 days" in page.main


def test_the_twenty_best_are_listed(support: Pages) -> None:
    assert [len(found(support, words)) for words in ("webhook", "404 webhook")] == [20, 20]
