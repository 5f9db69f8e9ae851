"""The search in the header of every page."""

import itertools
import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask

from portal.lib.clock import utcnow
from portal.models.assets import Asset
from portal.models.deliveries import Delivery, Event
from portal.services import find
from portal.services.actions import assignments, lifecycle
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import session, writing
from tests.support.deliveries import fail, make_attempt, make_delivery
from tests.support.factories import Hook, make_asset, make_staff, make_webhook
from tests.support.pages import Page, Pages
from tests.web.signed_in import visit


@pytest.fixture
def pages(app: Flask) -> Pages:
    return visit(app, "support")


def search(pages: Pages, text: str) -> Page:
    """Submit the search form in the header of the open page."""
    form = (pages.page or pages.get("/help")).form("/find")
    return pages.submit(form, q=text)


def groups(page: Page) -> dict[str, list[str]]:
    """Return the first cell of each row, by the title of its group."""
    cells = {}
    for section in page.root.find_all("section"):
        title = section.find_all("h2")[0].text
        rows = [row for body in section.find_all("tbody") for row in body.find_all("tr")]
        cells[title] = [row.find_all("th")[0].text for row in rows]
    return cells


def of_delivery(public_id: UUID) -> str:
    return f"/deliveries/{public_id}"


def test_a_whole_tag_or_serial_number_opens_its_asset(pages: Pages) -> None:
    asset = make_asset("ThinkPad T14", asset_tag="LAP-0042", serial_number="5CG0391XYZ")
    make_asset("LAP-0042 in its name", asset_tag="LAP-00421", serial_number="X5CG0391XYZ")
    for text in ("LAP-0042", "lap-0042", "  LAP-0042\t", "5CG0391XYZ", "5cg0391xyz"):
        assert search(pages, text).path == f"/assets/{asset}", text


LINES = [
    "{}",
    "webhook-id: {}",
    '2026-11-25T13:19:07Z INFO got {{"id":"{}","type":"asset.updated"}} in 12 ms',
    "https://portal.example.com/deliveries/{}/retry?back=%2Fdeliveries",
    "[worker-1] 500 Internal Server Error msg={} trace=deadbeefdeadbeef",
]


def test_a_line_that_contains_a_delivery_id_opens_the_delivery(pages: Pages) -> None:
    delivery, _other = make_delivery(), make_delivery()
    spelt = (str(delivery), str(delivery).upper(), delivery.hex)
    for line, public_id in zip(LINES, itertools.cycle(spelt), strict=False):
        assert search(pages, line.format(public_id)).path == of_delivery(delivery), line


def old_id(number: int) -> UUID:
    """Return an id from a minute that no other id has."""
    return UUID(f"0190{number:04x}-aaaa-7000-8000-{number:012x}")


def renamed(public_id: UUID, new: UUID) -> UUID:
    with writing() as current:
        row = current.query(Delivery).filter_by(public_id=public_id).one()
        row.public_id = new
    return new


def test_eight_characters_of_an_id_are_enough(pages: Pages) -> None:
    delivery = renamed(make_delivery(), old_id(7))
    make_delivery()
    for length in (8, 9, 12, 18, 23, 35):
        assert search(pages, str(delivery)[:length]).path == of_delivery(delivery)
    assert search(pages, f"id={str(delivery)[:8]} failed").path == of_delivery(delivery)
    assert search(pages, str(delivery)[:7]).h1 == "No results for “0190000”"
    assert len(pages.get(f"/deliveries?q={str(delivery)[:8]}").rows()) == 1
    assert pages.get("/deliveries?q=0190beef").rows() == []


def test_several_deliveries_of_one_minute_are_listed(pages: Pages) -> None:
    made = [renamed(make_delivery(), UUID(int=old_id(9).int + n)) for n in range(7)]
    page = search(pages, str(made[0])[:8])
    assert len(groups(page)["Deliveries"]) == 5
    page = page_of(pages, page, "View all deliveries")
    assert len(page.rows()) == 7
    narrowed = pages.get(f"/deliveries?q={str(made[0])[:8]}&status=delivered")
    assert narrowed.rows() == []


def page_of(pages: Pages, page: Page, words: str) -> Page:
    (link,) = page.links(words)
    return pages.get(link)


def test_an_event_id_opens_its_delivery(pages: Pages) -> None:
    delivery = make_delivery()
    event = session().query(Event).one()
    assert search(pages, f'"id": "{event.public_id}"').path == of_delivery(delivery)


def test_ids_and_urls_of_other_things_open_their_pages(pages: Pages) -> None:
    hook, asset_id = make_webhook(), make_asset("Lamp")
    make_staff("Maria Lopez")
    public_id = find.find("Maria", lambda _: True).people.rows[0].public_id
    for line, path in {
        f"/settings/webhooks/{hook.public_id}/history": f"/settings/webhooks/{hook.public_id}",
        f"see https://portal.example.com/assets/{asset_id}/timeline": f"/assets/{asset_id}",
        f"https://portal.example.com/staff/{public_id}": f"/staff/{public_id}",
    }.items():
        assert search(pages, line).path == path


def fill() -> None:
    for number in range(7):
        make_asset(f"ThinkPad {number}", asset_tag=f"LAP-000{number}")
    maria = make_staff("Maria Lopez", email="maria@example.com", department="Depot")
    make_staff("Ben Lopez", is_active=False)
    assignments.allocate(SYSTEM, 2, staff_id=maria)
    make_webhook("https://depot.example.com/in?key=lopez-secret", name="ThinkPad sync")


def test_words_find_a_few_of_each_kind_with_links_to_all(pages: Pages) -> None:
    fill()
    page = search(pages, "thinkpad")
    assert (page.h1, page.title) == (
        "Results for “thinkpad”",
        "Results for “thinkpad” · Asset register",
    )
    shown = groups(page)
    assert [row.split()[1] for row in shown["Assets"]] == ["6", "5", "4", "3", "2"]
    assert shown["Webhooks"] == ["ThinkPad sync depot.example.com"]
    everything = page_of(pages, page, "View all assets")
    assert (everything.path, len(everything.rows())) == ("/assets?q=thinkpad", 7)
    assert page.form("/find").fields["q"] == ["thinkpad"]


def test_a_person_is_found_with_assigned_assets(pages: Pages) -> None:
    fill()
    shown = groups(search(pages, "lopez"))
    assert shown == {
        "Assets": ["ThinkPad 1 LAP-0001"],
        "People": ["Maria Lopez", "Ben Lopez Former staff"],
    }
    depot = groups(search(pages, "depot"))
    assert depot == {
        "People": ["Maria Lopez"],
        "Webhooks": ["ThinkPad sync depot.example.com"],
    }


def test_found_assets_bring_their_newest_deliveries(pages: Pages) -> None:
    hook = make_webhook()
    make_asset("Telescope", asset_tag="TEL-1")
    make_asset("Telescope, large", asset_tag="TEL-2")
    shown = groups(search(pages, "telescope"))
    assert shown["Deliveries"] == [
        "Asset created TEL-2 Telescope, large",
        "Asset created TEL-1 Telescope",
    ]
    assert hook.name in pages.get("/find?q=telescope").main
    for number in range(2, 6):
        make_asset("Telescope", asset_tag=f"TEL-3{number}")
    page = search(pages, "telescope")
    assert "Deliveries 5 of 6 View all deliveries" in page.main
    assert len(page_of(pages, page, "View all deliveries").rows()) == 6


def test_the_secret_part_of_a_url_cannot_be_searched(pages: Pages) -> None:
    fill()
    for part in ("lopez-secret", "key=", "/in"):
        assert "Webhooks" not in groups(search(pages, part))


def test_a_pasted_line_finds_an_asset_by_its_tag(pages: Pages) -> None:
    make_asset("Lamp", asset_tag="LMP-7")
    asset = make_asset("ThinkPad", asset_tag="LAP-0042")
    line = json.dumps({"asset": {"asset_tag": "LAP-0042", "holder": None}, "attempt": 3})
    assert search(pages, line).path == f"/assets/{asset}"
    assert search(pages, "LAP-0042: the screen of it is broken").path == f"/assets/{asset}"
    page = search(pages, "LMP-7 and LAP-0042 are swapped")
    assert sorted(groups(page)["Assets"]) == ["Lamp LMP-7", "ThinkPad LAP-0042"]


def test_a_deleted_asset_is_listed_as_deleted_and_not_opened(pages: Pages) -> None:
    gone = make_asset("Lamp", asset_tag="LMP-7")
    lifecycle.delete_asset(SYSTEM, gone, "")
    page = search(pages, "LMP-7")
    assert (page.rows()[0][0], page.rows()[0][2]) == ("Lamp LMP-7", "Deleted")
    again = make_asset("Lamp again", asset_tag="LMP-7")
    assert search(pages, "LMP-7").path == f"/assets/{again}"


def test_draft_webhooks_and_their_tests_are_not_found(pages: Pages) -> None:
    draft = make_webhook(name="Telescope draft", state="draft")
    tested = make_delivery(draft)
    assert search(pages, "telescope").h1 == "No results for “telescope”"
    for public_id in (draft.public_id, tested):
        assert search(pages, str(public_id)).h1 == f"No results for “{public_id}”"


def failed(hook: Hook, said: str, **columns: Any) -> UUID:
    """Make a delivery that failed with this response."""
    made = fail(hook, **columns)
    make_attempt(made, reason="server", code=500, response_text=said)
    return made


@pytest.mark.both_databases
def test_the_end_of_an_id_opens_its_delivery(pages: Pages) -> None:
    delivery, _other = make_delivery(), make_delivery()
    for end in (
        str(delivery)[-6:],
        f"…{str(delivery)[-8:]}",
        f"...{delivery.hex[-20:].upper()}",
        f"delivery …{str(delivery)[-8:]}",
        f"ERROR got (id=..{str(delivery)[-17:]}), again",
        f"X-Asset-Webhook-Id: {delivery.hex[-8:]}",
    ):
        assert search(pages, end).path == of_delivery(delivery), end
    hidden = make_delivery(make_webhook(state="draft"))
    for end in (str(hidden)[-8:], str(delivery)[-3:], f"{str(delivery)[-8:]}x"):
        assert search(pages, end).path == "/find", end


@pytest.mark.both_databases
def test_a_pasted_error_finds_the_deliveries_that_failed_with_it(pages: Pages) -> None:
    hook = make_webhook(name="Finance")
    made = failed(hook, "<h1>Error</h1>NullPointerException at ErpSink.java:118")
    failed(hook, "busy", reason="unavailable", code=503)
    for line in (
        "NullPointerException at ErpSink.java:118",
        "nullpointerexception",
        "2026-11-27 13:56:24 ERROR [main] c.a.Worker NullPointerException at ErpSink.java:118",
    ):
        page = search(pages, line)
        assert len(groups(page)["Deliveries"]) == 1, line
        assert of_delivery(made) in str(page.links("Asset created")), line
    page = page_of(pages, search(pages, "NullPointerException"), "View all with this response")
    assert page.path == "/deliveries?answer=NullPointerException"
    for line, address in {
        "Down or restarting (503)": "/deliveries?reason=unavailable&code=503",
        "Finance: server error": "/deliveries?reason=server",
    }.items():
        page = page_of(pages, search(pages, line), "View all with this result")
        assert (page.path, len(page.rows())) == (address, 1)
    for _ in range(5):
        failed(hook, "NullPointerException")
    page = search(pages, "NullPointerException")
    assert "Deliveries 5 of 6 View all with this response" in page.main
    assert "Deliveries 5 of 6 View all with this result" in search(pages, "Server error").main
    page = search(pages, "HTTP 500 NullPointerException at")
    assert "Deliveries 5 of 6 View all with this response" in page.main
    assert len(page_of(pages, page, "View all with this response").rows()) == 6
    for nothing in ("Erp%118", "Err (", "no such line anywhere"):
        assert "Deliveries" not in groups(search(pages, nothing)), nothing


def test_a_pasted_connection_error_finds_its_webhooks_failures(pages: Pages) -> None:
    hook = make_webhook(name="Finance")
    for _ in range(6):
        made = fail(hook, reason="refused")
        make_attempt(made, reason="refused", detail="Failed to connect to 10.1.2.3 port 443")
    fail(make_webhook(), reason="refused")
    page = search(pages, "worker 7: Failed to connect to 10.1.2.3 port 443 after 2 ms")
    assert "Deliveries 5 of 6 View all with this result" in page.main
    assert len(page_of(pages, page, "View all with this result").rows()) == 6


def test_a_url_finds_the_webhooks_of_its_host(pages: Pages) -> None:
    make_webhook("https://depot.example.com/in?key=lopez-secret", name="Depot")
    make_webhook("https://other.example.com/in", name="Other")
    for url in ("https://depot.example.com/in?key=x", "POST http://DEPOT.example.com:8443/ 500"):
        assert groups(search(pages, url))["Webhooks"] == ["Depot depot.example.com"], url
    assert "Webhooks" not in groups(search(pages, "https://nowhere.example.com/in"))


def test_a_deleted_webhooks_name_leads_to_its_deliveries(pages: Pages) -> None:
    hook = make_webhook(name="Old <b>CRM</b>", deleted_at=utcnow())
    make_delivery(hook, status="failed")
    page = search(pages, "old <B>crm")
    assert page.h1 == "Results for “old <B>crm”"
    page = page_of(pages, page, "View Old <b>CRM</b>’s deliveries")
    assert len(page.rows()) == 1


STRANGE = [
    *(
        "%",
        "_",
        "*",
        '"',
        "NEAR(a b)",
        "-lamp",
        "lamp OR chair",
        "\x00",
        "a\x00b",
        "'; --",
        "\ud7ff",
    ),
    *("x" * 10_000, "0123456789abcdef " * 600, f"{uuid4()} " * 300, "-" * 5000, "\u202e"),
    *("https://", "http://[::1", "https://%00/", "…" * 2000 + "abcd", "a" * 30 + "-" * 4),
    *("/assets/999999999999", "/assets/0", "<script>alert(1)</script>", "{{ 7 * 7 }}"),
]


@pytest.mark.both_databases
def test_strange_input_is_treated_as_text(pages: Pages) -> None:
    make_asset("Lamp")
    for text in STRANGE:
        page = pages.get("/find", query_string={"q": text})
        assert page.status == 200, text[:80]
        assert page.h1.startswith(("No results", "Search")), text[:80]
        assert len(page.h1) < 100, text[:80]


ALL = {"assets.read", "webhooks.read", "deliveries.read"}


@pytest.mark.parametrize("permission", sorted(ALL))
def test_results_need_permission(app: Flask, permission: str) -> None:
    hook = make_webhook(name="Telescope sync")
    make_asset("Telescope", asset_tag="TEL-1", serial_number="TELESCOPE-9")
    make_staff("Telescope Tester")
    delivery = session().query(Delivery).one().public_id
    groups_of = {
        "assets.read": ("assets", "people"),
        "webhooks.read": ("webhooks",),
        "deliveries.read": ("deliveries",),
    }
    texts = (
        "telescope",
        "TEL-1",
        "see TEL-1 there",
        "/assets/1",
        str(hook.public_id),
        str(delivery),
    )
    shown = set()
    for text in texts:
        everything = find.find(text, ALL.__contains__)
        permitted = find.find(text, (ALL - {permission}).__contains__)
        for name in groups_of[permission]:
            shown |= {name} if getattr(everything, name).rows else set()
            assert getattr(permitted, name).rows == (), (text, name)
        assert find.find(text, lambda _: False).is_empty
    assert shown >= set(groups_of[permission]) - {"people"}


def in_help(page: Page) -> list[str]:
    """Return the links to help topics."""
    lists = [node for node in page.root.find_all("ul") if node.get("class") == "help-found"]
    return [link.get("href") for node in lists for link in node.find_all("a")]


def test_a_question_finds_three_help_topics_and_a_pasted_line_none(pages: Pages) -> None:
    for question, least in (("signature", 4), ("signatures" + " x" * 25, 1)):
        every = in_help(pages.get("/help", query_string={"q": question}))
        assert len(every) >= least, question
        assert in_help(search(pages, question)) == every[:3], question
    for pasted in ("signatures" + " x" * 25 + "x", "webhook-signature: v1"):
        assert in_help(search(pages, pasted)) == [], pasted


def test_a_huge_pasted_text_finds_only_a_few_rows(app: Flask) -> None:
    with writing() as current:
        current.add_all(Asset(asset_tag=f"T-{n}", name="Lamp") for n in range(50))
    line = " ".join(f"T-{n} {uuid4()} {uuid4().hex[:8]}" for n in range(200))
    assert len(find.find(line, ALL.__contains__).assets.rows) == find.FEW
