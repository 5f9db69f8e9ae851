"""The lines of a delivery's diagnostics."""

from datetime import timedelta
from uuid import UUID

import pytest

from portal.lib.clock import utcnow
from portal.models.deliveries import Priority
from portal.services.deliveries.detail import find_delivery
from portal.web.deliveries.help_bundle import bundle_of
from portal.web.deliveries.presenter import DeliveryPage, page_of
from tests.support.deliveries import change, lease, make_attempt, make_delivery
from tests.support.factories import make_webhook

pytestmark = pytest.mark.usefixtures("in_a_request")


def shown(made: UUID, draft: UUID | None = None) -> DeliveryPage:
    return page_of(find_delivery(made), draft)


def bundle(made: UUID) -> list[str]:
    """Return the lines of the delivery's diagnostics."""
    return bundle_of(shown(made)).splitlines()


def test_credentials_in_response_headers_are_masked() -> None:
    made = make_delivery(status="failed")
    headers = [[name, "let me in"] for name in ("Set-Cookie", "set-cookie2", "Authorization")]
    make_attempt(made, reason="auth", code=401, response_headers=[*headers, ["Server", "nginx"]])
    lines = bundle(made)
    hidden = [line for line in lines if line.endswith(": ••••")]
    assert [line.partition(":")[0] for line in hidden] == [
        "Set-Cookie",
        "set-cookie2",
        "Authorization",
    ]
    assert "Server: nginx" in lines
    assert "The response had no text." in lines


def test_the_response_names_its_attempt_and_any_truncation() -> None:
    made = make_delivery(status="failed")
    assert "None yet." in bundle(made)
    assert "No response." in bundle(made)
    make_attempt(
        made, reason="server", code=500, response_text="out of order", is_truncated=True, peer="::1"
    )
    lines = bundle(made)
    assert "out of order" in lines
    assert "(We keep only the start of the response.)" in lines
    assert "   connected to ::1" in lines
    assert not [line for line in lines if line.startswith("The last attempt got none")]
    make_attempt(made, reason="dns", kind="manual", actor="Ana")
    (note,) = [line for line in bundle(made) if line.startswith("The last attempt got none")]
    assert note.startswith("The last attempt got none. This is the response to attempt 1, ")
    assert shown(made).answer_note == "500 · 12 bytes · attempt 1"
    kinds = [line.split("  ")[-1] for line in bundle(made) if line[:3] in ("1  ", "2  ")]
    assert kinds == ["Attempt 1: Server error (500)", "Retry by Ana: Server not found"]


def test_each_attempt_line_shows_its_result() -> None:
    made = make_delivery()
    make_attempt(made, outcome="delivered", code=204, phases={"total": 20})
    make_attempt(made, outcome="interrupted")
    lease(made)
    ends = [line.rpartition("Z")[2] or line for line in bundle(made) if line[:3].strip().isdigit()]
    results = [entry.partition("  Attempt ")[2] for entry in ends]
    assert results == ["1: Delivered (204) in 20 ms", "2: Interrupted", "3: Sending now"]


def test_a_changed_url_is_noted_beside_the_one_that_was_used() -> None:
    made = make_delivery(make_webhook("https://new.example.com/hook"), status="failed")
    make_attempt(made, reason="dns", url="https://old.example.com/hook")
    lines = bundle(made)
    assert "POST https://old.example.com/hook" in lines
    assert "(The webhook’s URL is now https://new.example.com/hook)" in lines


def test_the_next_attempt_is_an_absolute_time() -> None:
    later = utcnow() + timedelta(hours=1)
    retried = make_delivery(status="retrying", tries=1, reason="dns", due_at=later)
    in_order = make_webhook(in_order=True)
    make_delivery(in_order, status="retrying", tries=1)
    behind = make_delivery(in_order, status="retrying", tries=1, reason="dns")
    failed = make_delivery(status="failed", tries=10, reason="dns")
    for made in (retried, behind, failed):
        make_attempt(made, reason="dns")

    def following(made: UUID) -> str:
        (line,) = [entry for entry in bundle(made) if entry.startswith("Next attempt: ")]
        return line.removeprefix("Next attempt: ")

    assert following(retried).startswith(f"{later:%Y-%m-%d}")
    assert following(behind) == "After an older delivery"
    assert following(failed) == "None left"


def test_earlier_causes_and_possible_repeats_are_listed() -> None:
    made = make_delivery(status="failed", tries=2, reason="read_timeout")
    for _ in range(2):
        make_attempt(made, reason="bad_request", code=422)
    for _ in range(2):
        make_attempt(made, kind="manual", reason="read_timeout")
    lines = bundle(made)
    assert "Earlier attempts: Content not accepted (422), 2 times" in lines
    assert "Cause: Receiver" in lines
    assert [line for line in lines if line.startswith("It might have arrived more than once")]


def test_only_an_error_response_links_to_a_search_for_similar_ones() -> None:
    made = make_delivery(status="failed")
    make_attempt(made, reason="server", code=500, response_text=" \nout of order\nand more")
    page = shown(made)
    assert "answer=out+of+order" in page.same_answer_url
    # A test of an unsaved form has no log.
    assert shown(made, UUID(int=1)).same_answer_url == ""
    well = make_delivery(status="delivered")
    make_attempt(well, outcome="delivered", code=200, response_text="stored")
    assert shown(well).same_answer_url == ""
    doubtful = make_delivery(status="delivered")
    make_attempt(doubtful, outcome="delivered", code=200, response_text="Import failed")
    assert shown(doubtful).same_answer_url
    assert shown(make_delivery()).same_answer_url == ""


def test_the_help_link_points_to_the_last_attempts_reason() -> None:
    made = make_delivery(status="failed", reason="dns")
    assert shown(made).help_url.endswith("#dns")
    make_attempt(made, reason="server", code=500)
    assert shown(made).help_url.endswith("#500")
    make_attempt(made, outcome="interrupted")
    assert shown(made).help_url.endswith("#interrupted")


def test_the_announcement_is_a_word_until_the_end_and_then_complete() -> None:
    made = make_delivery()
    assert shown(made).announcement == "Queued"
    change(made, status="failed", tries=1)
    make_attempt(made, kind="manual", actor="Ana", reason="dns")
    announcement = shown(made).announcement
    assert announcement.startswith("Failed. Retried by Ana at ")
    assert (
        ": server not found. We couldn’t find the server receiver.example.com. Not del"
        in announcement
    )


def test_a_test_has_its_own_heading_and_no_siblings() -> None:
    test = shown(make_delivery(priority=Priority.TEST))
    assert (test.heading, test.siblings.rows) == ("Test: Asset created", ())
    assert shown(make_delivery()).heading == "Asset created"
