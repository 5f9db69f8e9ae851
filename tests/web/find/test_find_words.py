"""What stands around the results of a search: its text cut short, and where there is more."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from portal.services.assets.queries import COUNTED_BESIDE
from portal.services.deliveries.log_query import MOST_BEGUN
from portal.services.find import EverythingFound, Hits
from portal.web.find.views import answers_url, lists, short
from portal.web.frame.wording import number


@pytest.fixture(autouse=True)
def _asked(app: Flask) -> Iterator[None]:
    with app.test_request_context():
        yield


def test_a_long_text_is_cut_off_on_one_line() -> None:
    assert short("two\n  lines\t") == "two lines"
    assert short("x" * 60) == "x" * 60
    assert short("x" * 61) == "x" * 60 + "…"
    assert short("x" * 59 + " y" * 3) == "x" * 59 + "…"


def test_answers_can_be_searched_for_what_the_log_takes() -> None:
    assert answers_url("busy now") == "/deliveries?answer=busy+now"
    assert answers_url("x" * 120).endswith("x" * 120)
    assert answers_url("x" * 121) == answers_url("") == ""


def told(**groups: Any) -> dict[str, tuple[str, str]]:
    return {name: (each.words, each.url) for name, each in lists("x", found(**groups)).items()}


def found(**groups: Any) -> EverythingFound:
    return EverythingFound(**{name: Hits([None] * rows, n) for name, (rows, n) in groups.items()})


def test_a_list_is_linked_where_it_has_more_than_is_shown() -> None:
    assert told(assets=(5, 5), people=(2, 1), webhooks=(5, None), deliveries=(0, 0)) == {}
    assert told(assets=(5, 6), people=(5, 7), webhooks=(5, 8)) == {
        "assets": ("View all 6 assets", "/assets?q=x"),
        "people": ("View all 7 people", "/staff?q=x"),
        "webhooks": ("View all 8 webhooks", "/settings/webhooks?q=x"),
    }


def test_a_number_that_was_counted_to_its_limit_says_so() -> None:
    for name, limit in (("assets", COUNTED_BESIDE), ("deliveries", MOST_BEGUN - 1)):
        for count, words in ((limit, number(limit)), (limit + 1, f"{number(limit)}+")):
            assert told(**{name: (5, count)})[name][0] == f"View all {words} {name}"
