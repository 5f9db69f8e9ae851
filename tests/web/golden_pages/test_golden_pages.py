"""The text of the pages compared with golden files, so that a review sees every change."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import update

from portal.models.people import Role, UserSession
from portal.services.core.unit_of_work import writing
from tests.browser.support.demo_register import filled_for
from tests.browser.support.page_list import address, readable
from tests.support.golden.expected_file import Golden
from tests.support.golden.frozen_register import NOW, FrozenRegister, frozen_register
from tests.support.golden.page_text import page_text
from tests.support.pages import Page, Pages
from tests.support.servers import ValkeyServer

FOLDER: Final = Path(__file__).parent / "pages"
OTHERS_FOLDER: Final = Path(__file__).parent / "other_pages"
Open = Callable[[Pages, FrozenRegister], Page]


def at(address: Callable[[FrozenRegister], str]) -> Open:
    """Return an opener for the page at this URL."""
    return lambda pages, register: pages.get(address(register))


def mistaken_form(pages: Pages, _register: FrozenRegister) -> Page:
    """Submit a new webhook whose every value is wrong."""
    wrong = {"url": "ftp://erp", "secret_mode": "own", "secret": "short"}
    return pages.submit(pages.get("/settings/webhooks/new").form(), "Save webhook", **wrong)


def waiting_form(pages: Pages, register: FrozenRegister) -> Page:
    """Send an invitation as a person who last entered the password a while ago."""
    form = pages.get("/settings/people/invite").form()
    proved = update(UserSession).where(UserSession.user_id == register.person.id)
    with writing() as current:
        current.execute(proved.values(confirmed_at=NOW - timedelta(minutes=16)))
    page = pages.submit(form, email="cleo@example.com", role="support")
    with writing() as current:
        current.execute(proved.values(confirmed_at=NOW))
    return page


# fmt: off
ADDRESSES: Final[dict[str, Callable[[FrozenRegister], str]]] = {
    "start": lambda _: "/",
    "log": lambda _: "/deliveries",
    "delivery_failed": lambda it: f"/deliveries/{it.delivery(status='failed', tries=1)}",
    "delivery_waiting": lambda it: f"/deliveries/{it.delivery(status='retrying', tries=2)}",
    "delivery_delivered": lambda it: f"/deliveries/{it.delivery(status='delivered', tries=2)}",
    "bulk_retry_question": lambda _: "/deliveries/retry?status=attention&all=1",
    "bulk_retry": lambda it: f"/batches/{it.retry}",
    "webhooks": lambda _: "/settings/webhooks",
    "webhook": lambda it: f"/settings/webhooks/{it.filled.webhooks}",
    "webhook_off": lambda it: f"/settings/webhooks/{it.webhook('Payroll')}",
    "webhook_held": lambda it: f"/settings/webhooks/{it.webhook('Payroll')}/held",
    "webhook_history": lambda it: f"/settings/webhooks/{it.filled.webhooks}/history",
    "webhook_for_a_chat": lambda _: "/settings/webhooks/new?to=teams",
    "webhook_test": lambda it: f"/settings/webhooks/test/{it.filled.webhook_drafts}",
    "assets": lambda _: "/assets",
    "asset": lambda it: f"/assets/{it.filled.assets}",
    "asset_timeline": lambda it: f"/assets/{it.filled.assets}/timeline",
    "import_check": lambda it: f"/assets/import/{it.filled.importing}",
    "alerts": lambda _: "/alerts",
    "alert_settings": lambda _: "/settings/alerts",
    "audit": lambda _: "/settings/audit",
    "erase_staff": lambda it: f"/staff/{it.filled.staff}/erase",
    "erase_user": lambda it: f"/settings/people/{it.filled.people}/erase",
    "system": lambda _: "/settings/system",
    "backups": lambda _: "/settings/system/backups",
    "help_webhooks": lambda _: "/help/webhooks",
    "help_no_message": lambda _: "/help/no-message",
    "help_delivery_status": lambda _: "/help/delivery-status",
}
# fmt: on
PAGES: Final[dict[str, Open]] = {
    **{name: at(where) for name, where in ADDRESSES.items()},
    "webhook_form_with_mistakes": mistaken_form,
    "confirmation": waiting_form,
}
# One more page of each kind (list, form, question, history), by its endpoint.
OTHERS: Final = frozenset(
    [
        "account.index",
        "actions.check_out",
        "actions.report_lost",
        "assets.new",
        "batches.index",
        "find.index",
        "help.index",
        "import_match.match",
        "inbox.index",
        "invitations.new",
        "people.index",
        "planning.maintenance",
        "planning.reservations",
        "staff.show",
        "webhook_forms.delete",
        "webhook_forms.new",
        "webhook_forms.where",
    ]
)
# Only these are compared in full, because the frame around a page is the same everywhere.
WHOLE: Final = frozenset({"start"})


@pytest.fixture(scope="module")
def register(valkey_server: ValkeyServer) -> Iterator[FrozenRegister]:
    with frozen_register(valkey_server) as register:
        yield register


@pytest.fixture(scope="module")
def pages(register: FrozenRegister) -> Pages:
    pages = Pages(register.app)
    pages.sign_in(register.person.email, register.person.password)
    return pages


@pytest.mark.parametrize("name", PAGES)
def test_each_page_matches_its_golden_file(
    name: str, pages: Pages, register: FrozenRegister, golden: Golden
) -> None:
    page = PAGES[name](pages, register)
    parts = page.root.find_all("body" if name in WHOLE else "main")
    golden.text(FOLDER / f"{name}.txt", register.settled(page_text(*parts)))


def test_the_other_pages_match_their_golden_files(
    pages: Pages, register: FrozenRegister, golden: Golden
) -> None:
    rules = {rule.endpoint: rule for rule in readable(register.app, Role.ADMIN)}
    for name in sorted(OTHERS):
        page = pages.get(address(rules[name], filled_for(name, register.filled)))
        text = register.settled(page_text(*page.root.find_all("main")))
        golden.text(OTHERS_FOLDER / f"{name}.txt", text)
    golden.only(OTHERS_FOLDER, {f"{name}.txt" for name in OTHERS})


def test_every_golden_file_belongs_to_a_page(golden: Golden) -> None:
    golden.only(FOLDER, {f"{name}.txt" for name in PAGES})
