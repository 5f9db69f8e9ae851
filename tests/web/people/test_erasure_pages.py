"""Erasing a person on pages: the changes shown first, the typed confirmation, and the result."""

from flask import Flask
from sqlalchemy import delete, select, update

from portal.lib.clock import utcnow
from portal.models.assets import Activity
from portal.models.assignments import Staff
from portal.models.audit import AuditEntry
from portal.models.mails import Mail
from portal.models.tasks import Task, TaskState
from portal.models.webhooks import Webhook
from portal.services.actions import assignments
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import session, writing
from portal.services.mail import mails
from tests.services.alerts.due_things import work
from tests.support.factories import make_asset, make_staff, make_user, make_webhook
from tests.web.signed_in import signed_in


def maria(**columns: object) -> tuple[int, str]:
    """Add a former holder of an asset to the staff, and return the row ID and the page's path."""
    row_id = make_staff("Maria Lopez", email="maria@example.com", **columns)
    asset = make_asset(asset_tag="L-1")
    assignments.allocate(SYSTEM, asset, staff_id=row_id)
    assignments.revoke(SYSTEM, asset)
    public_id = session().scalars(select(Staff.public_id).where(Staff.id == row_id)).one()
    return row_id, f"/staff/{public_id}"


def test_changes_and_remaining_data_are_shown_before_an_erasure(app: Flask) -> None:
    make_asset("Maria Lopez's chair", asset_tag="C-1")
    pages, (_, path) = signed_in(app, make_user()), maria()
    page = pages.get(f"{path}/erase")
    assert page.h1 == "Erase Maria Lopez?"
    for words in (
        "2 timeline entries",
        "2 audit entries",
        "Up to 3 stored event bodies, their requests to chats",
        "C-1 Maria Lopez's chair",
    ):
        assert words in page.main
    assert session().scalars(select(Task)).all() == []


def test_a_typed_email_address_erases_and_progress_is_shown(app: Flask) -> None:
    pages, (row_id, path) = signed_in(app, make_user()), maria()
    page = pages.submit(pages.get(f"{path}/erase").form(), typed="maria@example.com")
    assert (page.h1, page.path) == ("Erased person 1", f"{path}/erase")
    assert "Being erased" in page.main
    assert "Stop" not in pages.get(_task_path()).main
    work()
    page = pages.get(f"{path}/erase")
    assert "ErasedFinished" in page.main
    assert "2 timeline entries" in page.main
    shown = pages.get(path)
    assert (shown.h1, "Erased" in shown.main) == ("Erased person 1", True)
    assert not {"Edit", "Mark as current staff"} & {link.text for link in shown.root.find_all("a")}
    assert "Maria" not in pages.get("/assets/1/timeline").main + pages.get("/settings/audit").main
    assert session().get_one(Staff, row_id).phone is None
    with writing() as current:  # the task itself is deleted after some days
        current.execute(delete(Task))
    assert "ErasedFinished" in pages.get(f"{path}/erase").main


def test_each_name_to_search_in_texts_can_be_left_out(app: Flask) -> None:
    pages, (row_id, path) = signed_in(app, make_user()), maria()
    form = pages.get(f"{path}/edit").form()
    pages.submit(form, name="<b>Battery</b>")
    pages.submit(pages.get(f"{path}/edit").form(), name="Maria Gruber")
    other = make_asset(asset_tag="L-2")
    note = "Maria Lopez, Maria Gruber: the <b>Battery</b> burns"
    assignments.allocate(SYSTEM, other, staff_id=make_staff("Ben"), note=note)
    page = pages.get(f"{path}/erase")
    ticked = {
        box.get("value"): box.has("checked")
        for box in page.root.find_all("input")
        if box.get("type") == "checkbox"
    }
    assert list(ticked.values()) == [True, False, True, True], "one is a single word"
    assert page.main.count("2 places, for example “Maria Lopez, Maria Gruber: the <b>Battery</b> b")
    assert "Not in any text" in page.main
    wrong = pages.submit(page.form(), typed="maria@example.com?", sought=["1", "99", "-1", "ß"])
    assert (wrong.status, wrong.form().fields["sought"]) == (400, ["1"])
    again = pages.submit(wrong.form(), typed="maria@example.com", shown=["1"])
    assert "Maria Gruber’s details changed after you opened this page" in again.main
    assert again.form().fields["sought"] == ["0", "2", "3"]
    pages.submit(wrong.form(), typed="maria@example.com")
    work()
    query = select(Activity.note).where(Activity.asset_id == other)
    assert "Maria Lopez, Maria Gruber: the Erased person 1 burns" in session().scalars(query).all()
    assert session().get_one(Staff, row_id).name == "Erased person 1"
    assert "Battery" not in str(session().scalars(select(AuditEntry.changes)).all())


def test_names_in_notes_and_kept_emails_are_listed(app: Flask) -> None:
    pages, (_, path) = signed_in(app, make_user()), maria()
    hook = make_webhook(name="ERP")
    with writing() as current:
        note = {"note_at": utcnow(), "note_by": "Ana", "note": "Maria Lopez calls them"}
        current.execute(update(Webhook).where(Webhook.id == hook.id).values(**note))
        kept = "To: maria@example.com"
        current.add(Mail(kind=mails.TEST, due_at=utcnow(), sent_at=utcnow(), kept=kept))
    page = pages.get(f"{path}/erase")
    assert "“Maria Lopez calls them” (webhook)" in page.main
    assert "“To: maria@example.com” (email)" in page.main


def _task_path() -> str:
    return f"/tasks/{session().scalars(select(Task.public_id)).one()}"


def test_user_and_staff_pages_of_one_person_link_to_each_other(app: Flask) -> None:
    pages, (_, theirs) = signed_in(app, make_user()), maria()
    own = f"/settings/people/{make_user(name='Maria', email='maria@example.com').public_id}"
    assert pages.get(f"{own}/erase").links("member of staff") == [theirs]
    assert pages.get(f"{theirs}/erase").links("user") == [own]


def test_an_unfinished_erasure_can_be_continued(app: Flask) -> None:
    pages, (_, path) = signed_in(app, make_user()), maria()
    pages.submit(pages.get(f"{path}/erase").form(), typed="maria@example.com")
    for interruption in (update(Task).values(state=TaskState.FAILED), delete(Task)):
        with writing() as current:
            current.execute(interruption)
        page = pages.get(f"{path}/erase")
        assert page.form(f"{path}/erase/continue")
    warned = pages.get("/settings/system").main
    assert "An erasure hasn’t finished (Erased person 1)." in warned
    pages.submit(page.form(f"{path}/erase/continue"))
    assert "An erasure hasn’t finished" not in pages.get("/settings/system").main
    work()
    assert "ErasedFinished" in pages.get(f"{path}/erase").main
