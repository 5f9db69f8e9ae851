"""Pages say how long deliveries are kept."""

from datetime import UTC, datetime

from tests.support.deliveries import make_delivery
from tests.support.pages import Pages


def test_one_that_has_ended_says_until_when_it_is_kept(pages: Pages) -> None:
    ended = datetime(2026, 3, 1, 12, tzinfo=UTC)
    page = pages.get(f"/deliveries/{make_delivery(status='failed', finished_at=ended)}")
    assert "Kept until Mar 31" in page.main


def test_one_that_is_under_way_is_kept_without_an_end(pages: Pages) -> None:
    page = pages.get(f"/deliveries/{make_delivery(status='retrying')}")
    assert "Kept until" not in page.main


def test_the_log_says_how_long_deliveries_are_kept(pages: Pages) -> None:
    make_delivery()
    assert "We keep deliveries for 30 days after they finish." in pages.get("/deliveries").main
