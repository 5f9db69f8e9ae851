"""Pages that request, approve, plan, and complete reservations and maintenance."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from flask import Flask

from portal.services.actions import assignments
from portal.services.actions.planning import maintenance as planning_maintenance
from portal.services.actions.planning import reservations as planning_reservations
from portal.services.actions.planning.queries import plans_of
from portal.services.core.permissions import SYSTEM
from portal.services.core.time_zones import today
from tests.services.actions.plan_examples import (
    at,
    last_body,
    maintenance,
    make_maintenance,
    make_reservation,
    reservation,
    status_of,
    told,
)
from tests.support.factories import make_asset, make_staff, make_webhook
from tests.support.pages import Page, Pages
from tests.web.signed_in import visit

VIENNA, NEW_YORK = ZoneInfo("Europe/Vienna"), ZoneInfo("America/New_York")


def typed(moment: datetime, zone: ZoneInfo = VIENNA) -> str:
    """Format a time as a browser sends it."""
    return moment.astimezone(zone).strftime("%Y-%m-%dT%H:%M")


def ask_for(pages: Pages, asset_id: int, **fields: object) -> Page:
    page = pages.get(f"/assets/{asset_id}/reserve")
    return pages.submit(page.form(), **fields)


def steps(page: Page, words: str) -> list[str]:
    return [url for url in page.links(words) if "/assets/" in url]


def test_a_time_skipped_by_daylight_saving_is_refused(app: Flask) -> None:
    pages, maria = visit(app, time_zone=VIENNA.key), make_staff()
    typed = {"starts_at": "2150-03-29T02:30", "ends_at": "2150-03-29T03:00"}
    page = ask_for(pages, make_asset(), staff_id=maria, **typed)
    assert page.wrong == ["starts_at"]


def test_rows_due_soon_match_the_count_in_the_tab(app: Flask) -> None:
    pages = visit(app)
    for is_started in (False, True):
        work = make_maintenance(make_asset(), due_on=today() + timedelta(days=2))
        if is_started:
            planning_maintenance.start(SYSTEM, work)
    page = pages.get("/maintenance")
    assert sum("Due soon" in " ".join(row) for row in page.rows()) == 1
    assert "Due 1" in page.main


def test_reservation_times_are_entered_in_local_time_and_stored_in_utc(app: Flask) -> None:
    for zone in (VIENNA, NEW_YORK):
        make_webhook(events=["asset.reserved"])
        pages, maria, asset_id = visit(app, time_zone=zone.key), make_staff(), make_asset()
        form = pages.get(f"/assets/{asset_id}/reserve")
        assert zone.key.replace("_", " ") in form.main, zone
        page = ask_for(
            pages,
            asset_id,
            staff_id=maria,
            starts_at=typed(at(0), zone),
            ends_at=typed(at(3), zone),
            purpose="Trade fair",
        )
        assert (page.path, page.status) == (f"/assets/{asset_id}/reservations", 200), zone
        data = last_body()["data"]
        assert (data["starts_at"], data["ends_at"]) == (at(0).isoformat(), at(3).isoformat()), zone
        assert "Maria Lopez" in page.main, zone


def test_an_empty_form_names_each_missing_field(app: Flask) -> None:
    pages = visit(app)
    page = ask_for(pages, make_asset())
    assert page.status == 400
    assert page.wrong == ["staff_id", "starts_at", "ends_at"]
    assert told() == []


def test_a_conflict_is_shown_at_its_field_and_keeps_the_entered_values(app: Flask) -> None:
    pages, asset_id = visit(app), make_asset()
    make_reservation(asset_id, make_staff("Cleo Marin"), 0, 4, approved=True)
    ben = make_staff("Ben Novak")
    page = ask_for(
        pages, asset_id, staff_id=ben, starts_at=typed(at(2)), ends_at=typed(at(6)), purpose="Tour"
    )
    assert page.status == 400
    assert page.errors[0].startswith("Cleo Marin ")
    assert page.form().fields["purpose"] == ["Tour"]
    assert page.form().fields["starts_at"] == [typed(at(2))]


def test_a_reservation_is_approved_from_the_list(app: Flask) -> None:
    pages, asset_id = visit(app), make_asset("Epson projector")
    public_id = make_reservation(asset_id, make_staff())
    page = pages.get("/reservations")
    assert "Waiting for approval 1" in page.main
    (row,) = page.rows()
    assert row[:2] == ["Epson projector AST-00001", "Maria Lopez"]
    page = pages.get(steps(page, "Approve")[0])
    assert "Maria Lopez" in page.main
    page = pages.submit(page.form())
    assert reservation(public_id).state == "approved"
    assert pages.get("/reservations").rows() == []
    assert len(pages.get("/reservations?show=approved").rows()) == 1


def test_a_reservation_is_rejected_with_a_visible_reason(app: Flask) -> None:
    pages, asset_id = visit(app, "manager"), make_asset()
    make_reservation(asset_id, make_staff())
    form = pages.get(steps(pages.get("/reservations"), "Reject")[0]).form()
    page = pages.submit(form)
    assert page.wrong == ["rejection_reason"]
    page = pages.submit(page.form(), rejection_reason="Needed for the audit")
    assert last_body()["data"]["rejection_reason"] == "Needed for the audit"
    assert "Needed for the audit" in pages.get("/reservations?show=all").main


def test_a_reservation_is_canceled_with_a_note(app: Flask) -> None:
    pages, asset_id = visit(app), make_asset()
    make_reservation(asset_id, make_staff(), approved=True)
    question = pages.get(steps(pages.get(f"/assets/{asset_id}/reservations"), "Cancel")[0])
    # Two buttons named Cancel side by side would be confusing.
    assert question.links("Keep reservation") == [f"/assets/{asset_id}/reservations"]
    pages.submit(question.form(), note="The fair is off")
    assert last_body()["data"]["note"] == "The fair is off"


def test_a_disabled_step_says_why(app: Flask) -> None:
    pages, asset_id = visit(app), make_asset()
    make_reservation(asset_id, make_staff())
    make_maintenance(asset_id)
    assignments.allocate(SYSTEM, asset_id, staff_id=make_staff())
    reason = "It is allocated. Revoke it first."
    for path, off, on in (
        ("reservations", "Approve", ["Reject", "Cancel"]),
        ("maintenance", "Start", ["Complete", "Cancel"]),
    ):
        page = pages.get(f"/assets/{asset_id}/{path}")
        assert f"Can’t {off.lower()}. {reason}" in page.main
        assert not steps(page, off)
        assert all(steps(page, words) for words in on)


def test_the_strip_is_also_given_in_words(app: Flask) -> None:
    pages, asset_id = visit(app), make_asset()
    tab = f"/assets/{asset_id}/reservations"
    make_reservation(asset_id, make_staff("Cleo Marin"), 0, 48, approved=True)
    make_reservation(asset_id, make_staff("Ben Novak"), 72, 73)
    end = datetime.combine(today() + timedelta(days=60), time(), VIENNA)
    beyond = (end - at(0)) / timedelta(hours=1)
    make_reservation(asset_id, make_staff("Eva Beyond"), beyond, beyond + 24)
    make_maintenance(asset_id, due_on=today() + timedelta(days=5))
    page = pages.get(tab)
    (strip,) = [n for n in page.root.find_all("svg") if "strip-days" in n.get("class")]
    kinds = [rect.get("class") for rect in strip.find_all("rect")]
    assert [kinds.count(f"strip-{kind}") for kind in ("approved", "pending", "due")] == [1, 1, 1]
    words = [n.text for n in page.root.find_all("ul") if "strip-words" in n.get("class")]
    assert "Cleo Marin: " in words[0]
    assert "Ben Novak (pending): " in words[0]
    assert "Battery check: due " in words[0]
    assert "Eva Beyond" not in words[0]


def test_maintenance_is_planned_started_and_completed(app: Flask) -> None:
    pages, jonas, asset_id = visit(app), make_staff("Jonas Berg"), make_asset()
    page = pages.get(f"/assets/{asset_id}/schedule-maintenance")
    due = today() - timedelta(days=1)
    page = pages.submit(
        page.form(),
        title="Battery check",
        type="inspection",
        due_on=due,
        repeat_every_days="30",
        assignee_id=jonas,
        estimated_cost="40,50",
    )
    assert "Late" in pages.get("/maintenance").main
    page = pages.get(steps(pages.page, "Start")[0]) if pages.page else page
    page = pages.submit(page.form())
    assert status_of(asset_id) == "maintenance"
    page = pages.get(steps(pages.get("/maintenance"), "Complete")[0])
    assert page.form().fields["performed_by_id"] == [str(jonas)]
    page = pages.submit(page.form(), outcome="repaired", cost="35.50")
    assert told()[-2:] == ["asset.maintenance_completed", "asset.maintenance_scheduled"]
    assert status_of(asset_id) == "available"
    (row,) = pages.get("/maintenance").rows()
    assert "every 30 days" in row[0]


def test_a_plan_with_errors_shows_all_of_them(app: Flask) -> None:
    pages, asset_id = visit(app), make_asset()
    page = pages.get(f"/assets/{asset_id}/schedule-maintenance")
    page = pages.submit(page.form(), repeat_every_days="often", estimated_cost="-1")
    assert page.status == 400
    assert page.wrong == ["title", "due_on", "repeat_every_days", "estimated_cost"]


def test_started_maintenance_can_be_canceled(app: Flask) -> None:
    pages, asset_id = visit(app), make_asset()
    public_id = make_maintenance(asset_id, started=True)
    question = pages.get(steps(pages.get(f"/assets/{asset_id}/maintenance"), "Cancel")[0])
    assert question.links("Keep maintenance") == [f"/assets/{asset_id}/maintenance"]
    pages.submit(question.form(), note="Ill")
    assert maintenance(public_id).state == "cancelled"


def test_a_list_of_one_asset_shows_all_states_and_its_own_counts(app: Flask) -> None:
    pages, asset_id, other = visit(app), make_asset(), make_asset()
    make_reservation(asset_id, make_staff("Ana Fox"), approved=True)
    make_reservation(asset_id, make_staff("Ben Fox"), 9, 12)
    for start in (0, 12):
        make_reservation(other, make_staff("Cleo Fox"), start, start + 2)
    planning_maintenance.cancel(SYSTEM, make_maintenance(asset_id, due_on=today()))
    make_maintenance(asset_id, due_on=today())
    page = pages.get(f"/reservations?asset={asset_id}")
    assert [row[1] for row in page.rows()] == ["Ben Fox", "Ana Fox"]
    assert "Waiting for approval 1" in page.main
    assert "Waiting for approval 3" in pages.get("/reservations").main
    page = pages.get(f"/maintenance?asset={asset_id}")
    assert len(page.rows()) == 2
    assert "Due 1" not in page.main
    assert "Due 1" in pages.get("/maintenance").main


def test_only_the_remaining_steps_are_offered(app: Flask) -> None:
    pages, asset_id, maria = visit(app), make_asset(), make_staff()
    make_reservation(asset_id, maria)
    tab, works = f"/assets/{asset_id}/reservations", f"/assets/{asset_id}/maintenance"
    assert steps(pages.get(tab), "Approve")
    planning_reservations.cancel(SYSTEM, make_reservation(asset_id, maria, 20, 21))
    for public_id in (r.public_id for r in plans_of(asset_id).reservations):
        planning_reservations.approve(SYSTEM, public_id)
    page = pages.get(tab)
    assert not steps(page, "Approve")
    assert (len(steps(page, "Reject")), len(steps(page, "Cancel"))) == (1, 1)
    work = make_maintenance(asset_id)
    assert steps(pages.get(works), "Start")
    planning_maintenance.start(SYSTEM, work)
    page = pages.get(works)
    assert "Start" not in page.main
    assert (len(steps(page, "Complete")), len(steps(page, "Cancel"))) == (1, 1)
