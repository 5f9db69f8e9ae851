"""A list names each filter in its URL that it can't read and how to fix it, even if the list is
empty."""

import pytest
from flask import Flask

from portal.models.people import Role
from tests.browser.support.page_list import readable
from tests.support.factories import make_asset, make_staff, make_webhook
from tests.web.signed_in import visit

NAMES = ("category", "location", "status", "webhook", "event", "since", "until", "who", "what")
UNREADABLE = "&".join([f"q={'x' * 300}", *(f"{name}=%0100" for name in (*NAMES, "kind"))])


@pytest.mark.both_databases
def test_every_list_names_unreadable_filters_and_shows_no_rows(app: Flask) -> None:
    for is_empty in (True, False):
        if not is_empty:
            for make in (make_asset, make_staff, make_webhook):
                make()
        pages, refused = visit(app), []
        for rule in readable(app, Role.ADMIN):
            if rule.arguments:
                continue
            page = pages.get(f"{rule.rule}?{UNREADABLE}")  # also checks that all errors are there
            assert page.status in {200, 400}, rule.rule
            if page.status == 400:
                refused.append(rule.rule)
                assert page.errors, rule.rule
                assert page.rows() == []
        assert {"/assets", "/staff", "/deliveries", "/settings/audit"} <= set(refused), is_empty
