"""Pages of an asset or a webhook link back to its row in the filtered list it was opened from."""

from tests.support.factories import make_asset, make_location, make_staff, make_webhook
from tests.support.pages import Page, Pages


def back(page: Page) -> str:
    return next(a.get("href") for a in page.root.find_all("a") if a.get("class") == "back-link")


def test_an_asset_links_back_to_its_filtered_list(pages: Pages) -> None:
    asset = make_asset("Dock", asset_tag="D-1")
    query = "?q=dock&sort=-name"
    page = pages.get(f"/assets{query}")
    page = pages.get(next(link for link in page.links("Dock") if "/assets/" in link))
    assert back(page) == f"/assets{query}#asset-{asset}"
    page = pages.follow("Timeline")
    assert back(page) == f"/assets{query}#asset-{asset}"
    assert f'id="asset-{asset}"' in pages.get(f"/assets{query}").html


def test_actions_on_an_asset_keep_the_link_to_its_filtered_list(pages: Pages) -> None:
    asset, person = make_asset("Dock", asset_tag="D-1"), make_staff("Ben")
    make_location("Hall")
    query = "?q=dock&sort=-name"
    line = f"/assets{query}#asset-{asset}"
    page = pages.get(f"/assets/{asset}", query_string={"list": f"/assets{query}"})
    for action, filled in (
        ("Check out", {"staff_id": str(person), "due": "other", "due_at": "2099-05-03T12:00"}),
        ("Check in", {"condition_in": "good"}),
        ("Move", {"location_id": "1", "reason": "Tidied up"}),
        ("Edit", {"name": "Dock 2"}),
    ):
        page = pages.follow(action)
        assert back(page).startswith(f"/assets/{asset}?list=")
        page = pages.submit(page.form(), **filled)
        assert (page.h1, back(page)) == ("Dock" if action != "Edit" else "Dock 2", line)
    page = pages.follow("Delete")
    page = pages.submit(page.form())
    assert page.path == f"/assets{query}"


def test_a_webhook_links_back_to_its_filtered_list(pages: Pages) -> None:
    hook = make_webhook(name="ERP")
    query = "?q=erp&sort=name"
    page = pages.get(f"/settings/webhooks{query}")
    page = pages.get(next(link for link in page.links("ERP") if str(hook.public_id) in link))
    page = pages.follow("History")
    assert back(page) == f"/settings/webhooks{query}#webhook-{hook.public_id}"


def test_a_list_with_a_url_over_500_characters_is_not_linked_back_to(
    pages: Pages,
) -> None:
    for length, is_carried in ((500, True), (501, False)):
        asset = make_asset("Dock")
        address = "/assets?q=dock".ljust(length, "+")
        for page, words in (
            (pages.get(address), "Dock"),
            (pages.get(f"/assets/{asset}", query_string={"list": address}), "Timeline"),
        ):
            links = {link for link in page.links(words) if link.startswith(f"/assets/{asset}")}
            assert ["?list=" in link for link in links] == [is_carried], words


def test_only_lists_are_linked_back_to(pages: Pages) -> None:
    for address in ("//evil.example.com", "/account", "javascript:alert(1)", "/assets#x"):
        asset = make_asset()
        page = pages.get(f"/assets/{asset}", query_string={"list": address})
        assert back(page) == f"/assets#asset-{asset}"
        page = pages.follow("Edit")
        assert ("list=" in page.path) is address.startswith("/a")  # paths of the portal are kept
        page = pages.submit(page.form(), name="Dock 2")
        assert back(page) == f"/assets#asset-{asset}"
        assert back(pages.get(f"/assets/{asset}")) == f"/assets#asset-{asset}"
