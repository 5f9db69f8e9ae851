"""The labels and links around search results."""

from collections.abc import Iterator

import pytest
from flask import Flask

from portal.services.find import EverythingFound, Hits
from portal.web.find.views import answers_url, lists, short


@pytest.fixture(autouse=True)
def _asked(app: Flask) -> Iterator[None]:
    with app.test_request_context():
        yield


def test_a_long_text_is_cut_off_on_one_line() -> None:
    assert short("two\n  lines\t") == "two lines"
    assert short("x" * 60) == "x" * 60
    assert short("x" * 61) == "x" * 60 + "…"
    assert short("x" * 59 + " y" * 3) == "x" * 59 + "…"


def test_the_response_search_link_respects_the_logs_length_limit() -> None:
    assert answers_url("busy now") == "/deliveries?answer=busy+now"
    assert answers_url("x" * 120).endswith("x" * 120)
    assert answers_url("x" * 121) == answers_url("") == ""


def told(**groups: Hits[None]) -> dict[str, tuple[str, str, str]]:
    shown = lists("x", EverythingFound(**groups))
    return {name: (listed.count, listed.words, listed.url) for name, listed in shown.items()}


def few(rows: int, total: int | None, *, is_more: bool = False) -> Hits[None]:
    return Hits([None] * rows, total, is_more)


def test_each_list_is_counted_and_linked_if_more_exist() -> None:
    shown = told(assets=few(5, 5), people=few(2, 1), webhooks=few(5, None), deliveries=few(0, 0))
    counts = {"assets": "5", "people": "2", "webhooks": "5"}
    assert shown == {name: (count, "", "") for name, count in counts.items()}
    assert told(assets=few(5, 6), people=few(5, 7), webhooks=few(5, 500, is_more=True)) == {
        "assets": ("5 of 6", "View all assets", "/assets?q=x"),
        "people": ("5 of 7", "View all people", "/staff?q=x"),
        "webhooks": ("5 of 500+", "View all webhooks", "/settings/webhooks?q=x"),
    }
