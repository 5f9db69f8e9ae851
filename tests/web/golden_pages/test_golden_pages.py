"""What the pages say, word for word, against files: every change of them is seen in a review."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import update

from portal.models.people import UserSession
from portal.services.core.unit_of_work import writing
from tests.support.golden.expected_file import Golden
from tests.support.golden.frozen_register import NOW, FrozenRegister, frozen_register
from tests.support.golden.page_text import page_text
from tests.support.pages import Page, Pages
from tests.support.servers import ValkeyServer

FOLDER: Final = Path(__file__).parent / "pages"
Open = Callable[[Pages, FrozenRegister], Page]


def at(address: Callable[[FrozenRegister], str]) -> Open:
    """The page at this address."""
    return lambda pages, register: pages.get(address(register))


def mistaken_form(pages: Pages, _register: FrozenRegister) -> Page:
    """A new webhook of which everything is wrong."""
    wrong = {"url": "ftp://erp", "secret_mode": "own", "secret": "short"}
    return pages.submit(pages.get("/settings/webhooks/new").form(), "Save webhook", **wrong)


def waiting_form(pages: Pages, register: FrozenRegister) -> Page:
    """An invitation, sent by somebody who has not entered the password for a while."""
    form = pages.get("/settings/people/invite").form()
    proved = update(UserSession).where(UserSession.user_id == register.person.id)
    with writing() as current:
        current.execute(proved.values(confirmed_at=NOW - timedelta(minutes=16)))
    page = pages.submit(form, email="cleo@example.com", role="support")
    with writing() as current:
        current.execute(proved.values(confirmed_at=NOW))
    return page


# fmt: off
PAGES: Final[dict[str, Open]] = {
    "start": at(lambda _: "/"),
    "log": at(lambda _: "/deliveries"),
    "delivery_failed": at(lambda it: f"/deliveries/{it.delivery(status='failed', tries=1)}"),
    "delivery_waiting": at(lambda it: f"/deliveries/{it.delivery(status='retrying')}"),
    "delivery_delivered": at(lambda it: f"/deliveries/{it.delivery(status='delivered', tries=2)}"),
    "bulk_retry_question": at(lambda _: "/deliveries/retry?status=attention&all=1"),
    "bulk_retry": at(lambda it: f"/batches/{it.retry}"),
    "webhooks": at(lambda _: "/settings/webhooks"),
    "webhook": at(lambda it: f"/settings/webhooks/{it.filled.webhooks}"),
    "webhook_off": at(lambda it: f"/settings/webhooks/{it.webhook('Payroll')}"),
    "webhook_held": at(lambda it: f"/settings/webhooks/{it.webhook('Payroll')}/held"),
    "webhook_history": at(lambda it: f"/settings/webhooks/{it.filled.webhooks}/history"),
    "webhook_form_with_mistakes": mistaken_form,
    "webhook_test": at(lambda it: f"/settings/webhooks/test/{it.filled.webhook_drafts}"),
    "assets": at(lambda _: "/assets"),
    "asset": at(lambda it: f"/assets/{it.filled.assets}"),
    "asset_timeline": at(lambda it: f"/assets/{it.filled.assets}/timeline"),
    "import_check": at(lambda it: f"/assets/import/{it.filled.importing}"),
    "alerts": at(lambda _: "/alerts"),
    "alert_settings": at(lambda _: "/settings/alerts"),
    "confirmation": waiting_form,
    "audit": at(lambda _: "/settings/audit"),
    "erase_staff": at(lambda it: f"/staff/{it.filled.staff}/erase"),
    "erase_user": at(lambda it: f"/settings/people/{it.filled.people}/erase"),
    "system": at(lambda _: "/settings/system"),
    "help_webhooks": at(lambda _: "/help/webhooks"),
    "help_no_message": at(lambda _: "/help/no-message"),
    "help_delivery_status": at(lambda _: "/help/delivery-status"),
}
# fmt: on
# The others are compared from their heading on: what stands around them is the same everywhere.
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
def test_it_says_what_is_written_down(
    name: str, pages: Pages, register: FrozenRegister, golden: Golden
) -> None:
    page = PAGES[name](pages, register)
    parts = page.root.find_all("body" if name in WHOLE else "main")
    golden.text(FOLDER / f"{name}.txt", register.settled(page_text(*parts)))


def test_every_file_belongs_to_a_page(golden: Golden) -> None:
    golden.only(FOLDER, {f"{name}.txt" for name in PAGES})
