"""The organization's name, time zone, and currency: changed on a page, applied everywhere."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import select

from jobs.heartbeat import Heartbeat
from portal.app import create_app
from portal.config.settings import Settings, load_settings
from portal.engine.events.catalogue import EventName
from portal.engine.events.samples import sample_body
from portal.extensions import db
from portal.lib.clock import frozen
from portal.models.alerts import AlertRun
from portal.models.assignments import Assignment
from portal.models.audit import AuditEntry
from portal.services.alerts import runs
from portal.services.core import heartbeats
from portal.services.core.time_zones import today
from portal.services.core.unit_of_work import session
from portal.services.webhooks import rows
from tests.conftest import ENVIRONMENT
from tests.services.alerts.due_things import decided, lent, work
from tests.support.database.statements import asked
from tests.support.factories import make_asset, make_user
from tests.support.pages import Page, Pages
from tests.support.processes import until
from tests.web.signed_in import visit

PAGE = "/settings/organization"
VIENNA, LIMA = ZoneInfo("Europe/Vienna"), ZoneInfo("America/Lima")
OPEN = {**ENVIRONMENT, "TIMEZONE": ""}


@pytest.fixture(autouse=True)
def open_settings(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave these settings out of the environment, and undo the changes of each test."""
    now: Settings = app.extensions["settings"]
    open_ = replace(now, timezone=ZoneInfo("UTC"), fixed=frozenset())
    monkeypatch.setitem(app.extensions, "settings", open_)


@pytest.fixture
def another(app: Flask) -> Iterator[Callable[..., Flask]]:
    """Return a function that creates the app of one more process that has just started."""
    current: Settings = app.extensions["settings"]
    places = {
        "DATABASE_URL": current.database_url,
        "REDIS_URL": current.redis_url,
        "INSTANCE_DIR": str(current.instance_dir),
    }
    made = list[Flask]()

    def begin(**environment: str) -> Flask:
        made.append(create_app(load_settings({**OPEN, **environment, **places})))
        return made[-1]

    yield begin
    for each in made:
        with each.app_context():
            db.session.remove()
            db.engine.dispose()


def save(pages: Pages, **values: str) -> Page:
    return pages.submit(pages.get(PAGE).form(PAGE), **values)


def in_force(app: Flask) -> tuple[str, str, str]:
    now: Settings = app.extensions["settings"]
    return now.organization, now.timezone.key, now.currency


def test_saved_settings_apply_to_every_page_and_are_audited(app: Flask) -> None:
    pages = visit(app, name="Ada")
    make_asset("Projector", purchase_cost=Decimal(1250))
    save(pages, name="Hofburg", time_zone="Europe/Vienna", currency="chf")
    assert in_force(app) == ("Hofburg", "Europe/Vienna", "CHF")
    page = pages.get("/assets")
    assert page.title.endswith(" · Hofburg")
    assert "All times are Europe/Vienna." in page.text
    assert "CHF 1,250.00" in visit(app).get("/assets/1").text
    (entry,) = session().scalars(
        select(AuditEntry).where(AuditEntry.action == "organization.updated")
    )
    assert entry.changes == {
        "name": {"from": "Asset register", "to": "Hofburg"},
        "time_zone": {"from": "UTC", "to": "Europe/Vienna"},
        "currency": {"from": "EUR", "to": "CHF"},
    }


def test_saving_the_same_values_changes_nothing(app: Flask) -> None:
    pages = visit(app)
    assert save(pages).flashes == [("info", "No changes made.")]
    assert save(pages, currency="USD").flashes == [("success", "Saved.")]


def test_another_web_process_applies_settings_with_its_next_page(
    app: Flask, another: Callable[..., Flask]
) -> None:
    person = make_user("admin")
    other = another()
    elsewhere = Pages(other)
    with other.app_context():
        elsewhere.sign_in(person.email, person.password)
    save(visit(app), name="Hofburg", time_zone="Europe/Vienna")
    with other.app_context():
        assert in_force(other)[0] == "Asset register"
        assert elsewhere.get("/help").title.endswith(" · Hofburg")
        assert in_force(other) == ("Hofburg", "Europe/Vienna", "EUR")


def test_a_worker_applies_settings_on_start_and_with_a_heartbeat(
    app: Flask, another: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeats, "HEARTBEAT_EVERY", 0.05)
    worker = another()
    heartbeat = Heartbeat(worker, heartbeats.worker_of("background")).begin()
    try:
        save(visit(app), name="Hofburg", time_zone="Europe/Vienna")
        assert until(lambda: in_force(worker) == ("Hofburg", "Europe/Vienna", "EUR"))
    finally:
        heartbeat.end(5)
        heartbeat._engine.dispose()
    assert in_force(another()) == ("Hofburg", "Europe/Vienna", "EUR")


def test_settings_of_the_environment_win_and_are_shown_as_fixed(
    app: Flask, another: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    save(visit(app), time_zone="America/Lima", currency="USD")
    fixed = another(TIMEZONE="Europe/Vienna", CURRENCY="CHF")
    assert in_force(fixed) == ("Asset register", "Europe/Vienna", "CHF")
    monkeypatch.setitem(app.extensions, "settings", fixed.extensions["settings"])
    pages = visit(app)
    page = pages.get(PAGE)
    assert "Set by TIMEZONE on the server" in page.text
    assert "Set by CURRENCY on the server" in page.text
    assert {"time_zone", "currency"}.isdisjoint(page.form(PAGE).fields)
    save(pages, name="Hofburg")
    save(pages, time_zone="Asia/Tokyo", currency="JPY")
    assert in_force(app) == ("Hofburg", "Europe/Vienna", "CHF")


def test_a_late_save_shows_both_versions(app: Flask) -> None:
    first, second = visit(app, name="Ada"), visit(app)
    form = second.get(PAGE).form(PAGE)
    save(first, name="Hofburg")
    page = second.submit(form, name="Belvedere")
    assert (page.status, "Hofburg" in page.text, "Belvedere" in page.text) == (409, True, True)
    assert in_force(app)[0] == "Hofburg"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", " "),
        ("name", "x" * 41),
        ("time_zone", "Europe/Atlantis"),
        ("time_zone", "../../etc/passwd"),
        ("time_zone", ""),
        ("currency", "EURO"),
        ("currency", "€"),
        ("currency", ""),
    ],
)
def test_an_invalid_value_is_refused_at_its_field(app: Flask, field: str, value: str) -> None:
    page = save(visit(app), **{field: value})
    assert (page.status, page.wrong) == (400, [field])
    assert in_force(app) == ("Asset register", "UTC", "EUR")


def test_a_change_of_time_zone_moves_today_but_no_due_time(app: Flask) -> None:
    pages = visit(app)
    with frozen(datetime(2026, 3, 2, 2, 30, tzinfo=UTC)):
        asset_id = lent(hours_late=-0.5)
        due_at = session().scalars(select(Assignment.due_at)).one()
        assert today() == date(2026, 3, 2)
        save(pages, time_zone="America/Lima")
        assert today() == date(2026, 3, 1)
        assert session().scalars(select(Assignment.due_at)).one() == due_at
        page = pages.get(f"/assets/{asset_id}")
    assert "22:00" in page.main  # 03:00 UTC in Lima


def test_the_end_of_summer_time_and_a_new_zone_keep_alerts_daily(
    app: Flask,
) -> None:
    pages = visit(app)
    make_asset()
    decided()
    save(pages, time_zone="Europe/Vienna")
    at = datetime(2026, 10, 24, tzinfo=UTC)
    moved_at = datetime(2026, 10, 26, 8, tzinfo=UTC)  # after that day's check, before Lima's
    while at < datetime(2026, 10, 29, tzinfo=UTC):
        if at == moved_at:
            save(pages, time_zone="America/Lima")
        with frozen(at):
            runs.start_due(at)
            work()
        at += timedelta(minutes=30)
    rows = session().execute(select(AlertRun.slot, AlertRun.started_at).order_by(AlertRun.id))
    begun = {row.slot: row.started_at for row in rows}
    assert list(begun) == [date(2026, 10, day) for day in range(23, 29)]
    hours = [f"{start.astimezone(VIENNA):%H:%M}" for start in begun.values()]
    assert hours[1:4] == ["07:00"] * 3
    assert [f"{start.astimezone(LIMA):%H:%M}" for start in begun.values()][4:] == ["07:00"] * 2


def test_chat_messages_use_the_time_zone(app: Flask) -> None:
    body = sample_body(EventName.CHECKED_OUT)
    before = rows.body_to_send("slack", body)
    save(visit(app), time_zone="Asia/Tokyo")
    after = rows.body_to_send("slack", body)
    assert before != after
    assert rows.body_to_send(None, body) == body  # for programs, the same in every time zone


def test_changed_settings_cost_a_page_no_further_query(app: Flask) -> None:
    pages = visit(app)
    pages.get("/help")
    with asked(db.engine, "SELECT") as before:
        pages.get("/help")
    save(pages, name="Hofburg")
    pages.get("/help")
    with asked(db.engine, "SELECT") as after:
        pages.get("/help")
    assert len(after) == len(before)


def test_all_errors_are_shown_together(app: Flask) -> None:
    assert save(visit(app), name="", currency="€").wrong == ["name", "currency"]
