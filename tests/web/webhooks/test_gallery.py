"""Where should it go? The gallery, and the form that each of its cards leads to."""

from typing import Final

from tests.support.pages import Pages

LIST, WHERE = "/settings/webhooks", "/settings/webhooks/where"
NEW: Final = "/settings/webhooks/new"
CARDS: Final = (
    *("teams", "slack", "discord", "google_chat"),
    *("zapier", "make", "n8n", "power_automate", "program"),
)


def test_every_way_to_a_new_webhook_leads_to_the_gallery(pages: Pages) -> None:
    for path in ("/", LIST):
        assert set(pages.get(path).links("Add webhook")) == {WHERE}, path
    pages.get("/help?q=slack")
    assert pages.follow("Slack").links("Add webhook for Slack") == [f"{NEW}?to=slack"]


def test_each_card_leads_on(pages: Pages) -> None:
    cards = [link.get("href") for link in pages.get(WHERE).root.find_all("a") if link.has("href")]
    wanted = [*(f"{NEW}?to={key}" for key in CARDS), "/inbox"]
    assert [path for path in cards if path in wanted] == [*wanted, f"{NEW}?to=program"]
    assert [pages.get(path).status for path in wanted] == [200] * len(wanted)
