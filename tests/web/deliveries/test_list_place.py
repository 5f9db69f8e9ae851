"""A delivery's page keeps the user's place in the list for Previous, Next, and Back."""

from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from flask import Flask

from portal.lib.paging import PAGE_SIZE
from portal.models.deliveries import Delivery
from tests.services.core.keyset_walk import every
from tests.support.deliveries import change, make_delivery
from tests.support.factories import Hook, make_asset, make_webhook
from tests.support.pages import Page, Pages

FAILED = "?status=failed"


@pytest.fixture
def desk(app: Flask) -> Hook:
    """Make a webhook with six deliveries, of which every second one failed."""
    hook = make_webhook(name="Helpdesk")
    for number in range(6):
        status = "failed" if number % 2 else "delivered"
        make_delivery(hook, status=status, reason="server", asset_tag=f"LAP-{number}")
    make_delivery(status="failed", asset_tag="OTHER")
    return hook


def ids(**columns: object) -> list[UUID]:
    """Return the ids of deliveries with these values, newest first."""
    rows = [row for row in every(Delivery) if all(getattr(row, k) == v for k, v in columns.items())]
    return [row.public_id for row in rows[::-1]]


def beside(page: Page, rel: str) -> str:
    """Return the URL of the Previous (prev) or Next (next) link, or an empty string."""
    return next((a.get("href") for a in page.root.find_all("a") if a.get("rel") == rel), "")


def back(page: Page) -> tuple[str, str]:
    """Return the text and the URL of the back link."""
    links = [a for a in page.root.find_all("a") if a.get("class") == "back-link"]
    return links[0].text, links[0].get("href")


def test_next_and_previous_follow_the_lists_filters(support: Pages, desk: Hook) -> None:
    failed = ids(status="failed", webhook_id=desk.id)
    page = support.get(f"/deliveries{FAILED}&webhook={desk.public_id}")
    page = support.get(next(link for link in page.links() if str(failed[0]) in link))
    assert beside(page, "prev") == ""
    for delivery in failed[1:]:
        page = support.get(beside(page, "next"))
        assert urlsplit(page.path).path == f"/deliveries/{delivery}"
        asked = parse_qs(urlsplit(page.path).query)
        assert asked == {"status": ["failed"], "webhook": [str(desk.public_id)]}
    assert beside(page, "next") == ""
    for delivery in failed[-2::-1]:
        page = support.get(beside(page, "prev"))
        assert urlsplit(page.path).path == f"/deliveries/{delivery}"
    words, address = back(page)
    assert words == "Helpdesk, Failed"
    where = f"/deliveries?webhook={desk.public_id}&status=failed#delivery-{failed[0]}"
    assert sorted(address.split("#")[0].split("?")[1].split("&")) == sorted(
        where.split("#")[0].split("?")[1].split("&")
    )
    assert address.endswith(f"#delivery-{failed[0]}")
    assert len(support.get(address).rows()) == 3


def test_oldest_first_order_is_kept(support: Pages, desk: Hook) -> None:
    rising = ids(status="failed")[::-1]
    page = support.get(f"/deliveries{FAILED}&sort=when")
    shown = [each.get("id") for each in page.root.find_all("tr") if each.get("id")]
    assert shown == [f"delivery-{each}" for each in rising]
    page = support.get(next(each for each in page.links() if str(rising[0]) in each))
    assert f"/deliveries/{rising[1]}?" in beside(page, "next")
    assert beside(page, "prev") == ""
    assert "sort=when" in back(page)[1]


def test_retry_dismiss_and_resend_keep_the_place(support: Pages, desk: Hook) -> None:
    first, second, third = ids(status="failed", webhook_id=desk.id)
    page = support.get(f"/deliveries/{second}{FAILED}&webhook={desk.public_id}")
    page = support.submit(page.form(f"/deliveries/{second}/retry"))
    assert page.path == f"/deliveries/{second}?status=failed&webhook={desk.public_id}"
    assert f"/deliveries/{first}?" in beside(page, "prev")
    assert f"/deliveries/{third}?" in beside(page, "next")
    page = support.submit(support.follow("Dismiss").form())
    assert f"/deliveries/{third}?" in beside(page, "next")
    change(second, status="delivered")
    page = support.get(page.path)
    page = support.get(next(link for link in page.links("Resend")))
    assert page.links("Cancel") == [f"/deliveries/{second}{FAILED}&webhook={desk.public_id}"]
    page = support.submit(page.form(f"/deliveries/{second}/retry"), "Resend")
    assert page.path == f"/deliveries/{second}{FAILED}&webhook={desk.public_id}"


def test_the_back_link_leads_to_the_right_page_of_the_list(support: Pages) -> None:
    for number in range(PAGE_SIZE + 3):
        make_delivery(status="failed", asset_tag=f"LAP-{number}")
    page = support.get("/deliveries")
    second = support.get(next(iter(page.links("Older"))))
    last = ids()[-1]
    shown = support.get(next(link for link in second.links() if str(last) in link))
    listed = support.get(back(shown)[1].split("#")[0])
    assert listed.path.split("#")[0] == second.path
    # The delivery before the first of a page is on another page.
    first, before = ids()[-3], ids()[-4]
    stepped = support.get(next(link for link in second.links() if str(first) in link))
    stepped = support.get(beside(stepped, "prev"))
    assert stepped.path.startswith(f"/deliveries/{before}")
    assert f"delivery-{before}" in support.get(back(stepped)[1].split("#")[0]).html
    newest = support.get(f"/deliveries/{ids()[3]}")
    assert back(newest) == ("Deliveries", f"/deliveries#delivery-{ids()[3]}")


def test_next_and_back_stay_within_an_assets_or_webhooks_list(support: Pages, app: Flask) -> None:
    asset = make_asset(asset_tag="CAM-1")
    hook = make_webhook(name="Helpdesk")
    older, other, newer = (
        make_delivery(hook, asset_id=each, asset_tag="CAM-1") for each in (asset, asset + 1, asset)
    )
    page = support.get(f"/assets/{asset}/deliveries")
    page = support.get(next(each for each in page.links() if str(newer) in each))
    assert back(page) == (
        "Deliveries for CAM-1",
        f"/assets/{asset}/deliveries#delivery-{newer}",
    )
    assert f"/deliveries/{older}?" in beside(page, "next")
    page = support.get(f"/settings/webhooks/{hook.public_id}")
    page = support.get(next(each for each in page.links() if f"/deliveries/{newer}" in each))
    assert back(page)[0] == "Helpdesk"
    assert f"/deliveries/{other}?" in beside(page, "next")


@pytest.mark.parametrize(("name", "words"), [("H" * 60, "H" * 60), ("H" * 61, f"{'H' * 60}…")])
def test_the_back_links_label_is_cut_at_60_characters(
    support: Pages, name: str, words: str
) -> None:
    hook = make_webhook(name=name)
    page = support.get(f"/deliveries/{make_delivery(hook)}?webhook={hook.public_id}")
    assert back(page)[0] == words


def test_the_list_is_recognized_below_a_url_prefix(support: Pages) -> None:
    asset = make_asset(asset_tag="CAM-1")
    made = make_delivery(asset_id=asset, asset_tag="CAM-1")
    where = f"/portal/assets/{asset}/deliveries"
    page = support.get(f"/deliveries/{made}?list={where}", base_url="http://localhost/portal")
    assert back(page) == ("Deliveries for CAM-1", f"{where}#delivery-{made}")


def test_a_malformed_query_shows_the_delivery_without_neighbors(support: Pages) -> None:
    older, made = make_delivery(), make_delivery()
    for query in ("?status=nonsense", "?code=9", "?list=//evil.example.com", "?list=/nowhere"):
        page = support.get(f"/deliveries/{made}{query}")
        assert page.status == 200
        assert not back(page)[1].startswith("//")
        assert (beside(page, "prev"), beside(page, "next")) == ("", "")
    page = support.get(f"/deliveries/{made}?cursor=x")
    assert f"/deliveries/{older}" in beside(page, "next")


def test_other_webhooks_of_the_event_are_listed_with_their_status(
    support: Pages, app: Flask
) -> None:
    made = make_delivery(make_webhook(name="ERP"), status="failed")
    event = next(row.event_id for row in every(Delivery))
    others = [
        ("Audit", "delivered"),
        ("Zoo", "on_hold"),
        *((f"T{n}", "delivered") for n in range(4)),
    ]
    for name, status in others:
        hook = make_webhook(name=name, state="off" if status == "on_hold" else "active")
        other = make_delivery(hook, status=status)
        change(other, event_id=event, took_ms=22)
    make_delivery(make_webhook(name="Elsewhere"))
    page = support.get(f"/deliveries/{made}?status=failed")
    (part,) = [node for node in page.root.walk() if node.get("id") == "others"]
    shown = [item.text for item in part.find_all("li")]
    assert shown[:2] == ["Zoo On hold", "Audit Delivered in 22 ms"]
    assert shown[2:] == [f"T{number} Delivered in 22 ms" for number in range(4)]
    links = [a.get("href") for a in part.find_all("a")]
    assert all(link.endswith("?status=failed") for link in links)
    alone = support.get(f"/deliveries/{ids()[0]}")
    assert "Other webhooks for this event" not in alone.main


def test_a_json_retry_returns_the_urls_to_follow(support: Pages) -> None:
    made = make_delivery(status="failed")
    page = support.get(f"/deliveries{FAILED}")
    form = page.form(f"/deliveries/{made}/retry")
    asked = {"headers": {"Accept": "application/json"}, "data": form.fields}
    answer = support.client.post(form.action, **asked).get_json()
    assert answer["place"] == f"/deliveries?status=failed&retried={made}#delivery-{made}"
    row = support.client.get(answer["live"]).get_json()
    assert "Queued since" in row["html"]
    assert f'href="/deliveries/{made}?status=failed"' in row["html"]
    assert f'value="{made}"' in row["html"]
    # A second press sends nothing and leads to a page that says why.
    answer = support.client.post(form.action, **asked).get_json()
    assert answer == {"go": f"/deliveries?status=failed&retried={made}#delivery-{made}"}
    change(made, status="delivered", prior_status=None)
    answer = support.client.post(form.action, **asked).get_json()
    assert answer["go"].startswith(f"/deliveries/{made}/retry?back=")
