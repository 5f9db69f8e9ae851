"""The note for colleagues on a webhook."""

import pytest
from flask import Flask

from portal.models.people import Role
from portal.services.webhooks import takes
from tests.support.deliveries import change, make_delivery
from tests.support.factories import Hook, make_user, make_webhook
from tests.support.pages import Page, Pages
from tests.web.signed_in import signed_in, visit

FIRST = "See https://help.example.com/t/7 <b>now</b>, not javascript:alert(1)."
LINES = f"{FIRST}\n\nDo NOT select Resume.\n  Ask Zoe first.\nThanks"


@pytest.fixture
def hook(app: Flask) -> Hook:
    failing = make_webhook(name="Finance")
    make_delivery(failing, status="failed", reason="server", code=500)
    return failing


def page_of(hook: Hook) -> str:
    return f"/settings/webhooks/{hook.public_id}"


def write(pages: Pages, hook: Hook, note: str, button: str = "Save note") -> Page:
    page = pages.get(f"{page_of(hook)}/note?back=/")
    return pages.submit(page.form(), button, note=note)


def folded(page: Page) -> list[str]:
    """Return the texts of notes, with their line ends."""
    notes = [node for node in page.root.find_all("div") if "note" in node.get("class").split()]
    return ["".join(p._texts()) for note in notes for p in note.find_all("p")]


@pytest.mark.parametrize("role", [Role.SUPPORT, Role.ADMIN])
def test_a_note_is_whole_and_keeps_its_line_ends_wherever_the_webhook_is_shown(
    app: Flask, hook: Hook, role: Role
) -> None:
    sam, viewer = visit(app, role, name="Sam"), visit(app, Role.VIEWER)
    page = write(sam, hook, LINES.replace("\n", "\r\n"))
    assert page.path == "/"
    assert page.flashes == [("success", "Note saved.")]
    for path in ("/", "/deliveries", "/settings/webhooks", page_of(hook)):
        shown = viewer.get(path)
        assert folded(shown) == [LINES], path
        assert "Note on Finance by Sam, " in shown.main, path
        assert "Show all" in shown.main, path
        assert shown.links("https://help.example.com/t/7") == ["https://help.example.com/t/7"]
        assert not shown.links("Edit note")
    assert "Take “Finance”" in sam.get("/").main, "a note takes nothing"


@pytest.mark.parametrize("columns", [{}, {"state": "off", "off_reason": "person"}])
def test_a_webhook_that_works_or_is_off_has_a_note_too(app: Flask, columns: dict[str, str]) -> None:
    hook, sam = make_webhook(name="Door", **columns), visit(app, "support", name="Sam")
    assert sam.get(page_of(hook)).links("Add note") == [
        f"{page_of(hook)}/note?back={page_of(hook)}"
    ]
    write(sam, hook, "Moves on Friday")
    for path in ("/settings/webhooks", page_of(hook)):
        shown = sam.get(path)
        assert folded(shown) == ["Moves on Friday"]
        assert "Show all" not in shown.main


def test_a_note_stays_after_the_take_and_the_trouble_end(app: Flask) -> None:
    hook = make_webhook(name="Finance")
    failed = make_delivery(hook, status="failed", reason="server", code=500)
    sam = signed_in(app, make_user("support", name="Sam"))
    sam.submit(sam.get("/").form(f"{page_of(hook)}/take"))
    write(sam, hook, "Asked")
    change(failed, status="delivered", failing_since=None)
    takes.end()
    assert folded(sam.get(page_of(hook))) == ["Asked"]


def test_the_history_tells_of_each_note(app: Flask, hook: Hook) -> None:
    sam, eve = visit(app, "support", name="Sam"), visit(app, "admin", name="Eve")
    write(sam, hook, "First")
    assert write(eve, hook, "First").flashes == [("info", "No changes made.")]
    write(eve, hook, "Second")
    write(sam, hook, "ignored", "Remove note")
    assert folded(sam.get(page_of(hook))) == []
    history = sam.get(f"{page_of(hook)}/history").main
    told = ["Sam removed this webhook’s note", "Note removed: Second"]
    told += ["Eve changed this webhook’s note", "Note: First → Second"]
    told += ["Sam added a note to this webhook", "Note: First"]
    places = [history.index(words) for words in told[:4]] + [history.rindex(told[4])]
    assert places == sorted(places)
    trail = eve.get("/settings/audit").main
    assert "Webhook: note added" in trail
    assert "Webhook: note removed" in trail


def test_a_note_that_another_person_changed_is_not_replaced_unseen(app: Flask, hook: Hook) -> None:
    sam, eve = visit(app, "support", name="Sam"), visit(app, "support", name="Eve")
    opened = [pages.get(f"{page_of(hook)}/note?back=/") for pages in (sam, eve)]
    write(sam, hook, "Asked their IT")
    page = eve.submit(opened[1].form(), "Save note", note="I know this one")
    assert page.status == 400
    assert page.wrong == ["note"]
    assert "Sam saved it after you opened this page" in page.main
    assert folded(page) == ["Asked their IT"]
    assert page.form().fields["note"] == ["I know this one"], "nothing is lost"
    assert folded(sam.get("/")) == ["Asked their IT"]
    eve.submit(page.form(), "Save note", note="I know this one")
    assert folded(sam.get("/")) == ["I know this one"]
    late = sam.get(f"{page_of(hook)}/note?back=/")
    write(eve, hook, "", "Remove note")
    page = sam.submit(late.form(), "Save note", note="More")
    assert "The earlier note was removed" in page.main
    sam.submit(page.form(), "Save note", note="More")
    assert folded(sam.get("/")) == ["More"]


def test_a_note_has_up_to_5000_characters_with_any_number_of_line_ends(
    app: Flask, hook: Hook
) -> None:
    sam = visit(app, "support", name="Sam")
    page = write(sam, hook, "x" * 5001)
    assert page.wrong == ["note"]
    assert "Enter at most 5,000 characters" in page.main
    longest = "x\n" * 2499 + "xx"
    write(sam, hook, longest.replace("\n", "\r\n"))
    assert folded(sam.get("/")) == [longest]
