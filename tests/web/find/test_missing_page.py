"""The “Why didn't it arrive?” page for one webhook and one asset."""

from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy import select

from portal.engine.events.catalogue import EventName
from portal.models.deliveries import Delivery
from portal.services.actions import lifecycle
from portal.services.core.unit_of_work import session
from portal.services.webhooks import crud
from portal.services.webhooks import queries as webhook_queries
from tests.support.deliveries import make_delivery
from tests.support.factories import make_asset, make_user, make_webhook
from tests.support.pages import Page, Pages
from tests.web.signed_in import visit

HERE = "/help/no-message"


def why(page: Page) -> list[str]:
    """Return the last cell of each row of the answer."""
    return [row[-1] for row in page.rows()]


def ask(pages: Pages, **given: object) -> Page:
    return pages.get(f"{HERE}?{'&'.join(f'{name}={value}' for name, value in given.items())}")


def test_an_unmet_condition_is_named_with_the_person_to_change_it(app: Flask) -> None:
    make_user(name="Ada Novak")
    hook = make_webhook(name="Helpdesk", conditions='[["status","is",["lost"]]]')
    make_asset()
    edit = f"/settings/webhooks/{hook.public_id}/edit#conditions"
    for role, links in (("admin", [edit]), ("support", [])):
        page = ask(visit(app, role), webhook=hook.public_id, asset="ast-00001")
        (line,) = why(page)
        assert "didn’t meet the condition “Status is Lost”. The status was Available." in line
        assert page.links("Edit conditions") == links
        assert ("Ask an administrator" in line) is (role == "support")


@pytest.mark.parametrize(
    ("condition", "was"),
    [
        ('["origin","is",["import"]]', "The event came from a scheduled check."),
        ('["changed","is",["status"]]', "No field changed."),
        ('["location","is",["7"]]', "The asset has no location."),
    ],
)
def test_an_unmet_condition_shows_the_actual_value(app: Flask, condition: str, was: str) -> None:
    hook = make_webhook(conditions=f"[{condition}]")
    make_asset()
    (line,) = why(ask(visit(app), webhook=hook.public_id, asset="AST-00001"))
    assert was in line


def test_a_deleted_assets_delivery_is_found_by_its_id(app: Flask) -> None:
    hook = make_webhook(events=[EventName.DELETED])
    lifecycle.delete_asset(make_user().actor, make_asset())
    (delivery,) = session().scalars(select(Delivery.public_id))
    page = ask(visit(app), asset=delivery)
    assert page.links("View delivery") == [f"/deliveries/{delivery}"]
    assert f"and {hook.name}" in page.main


def test_conditions_changed_after_the_event_are_marked_as_todays(app: Flask) -> None:
    ada = make_user(name="Ada Novak")
    hook = make_webhook(name="ERP", conditions='[["status","is",["lost"]]]')
    make_asset()
    for status, explanation in (
        (
            "broken",
            "It doesn’t meet today’s condition “Status is Broken”. The status was Available. "
            "Ada Novak changed the conditions at",
        ),
        ("available", "Ada Novak changed ERP’s conditions at"),
    ):
        stored = webhook_queries.stored_values(hook.public_id)
        version = webhook_queries.show(hook.public_id).version
        changed = replace(stored, conditions=f'[["status","is",["{status}"]]]')
        crud.edit(ada.actor, hook.public_id, version, changed)
        page = ask(visit(app), webhook=hook.public_id, asset="AST-00001")
        (line,) = why(page)
        assert explanation in line
        assert ", after this event." in line
        assert page.links("View history") == [f"/settings/webhooks/{hook.public_id}/history"]


def test_manual_checks_are_offered_only_without_an_answer(app: Flask) -> None:
    pages, hook = visit(app), make_webhook()
    make_asset()
    page = ask(pages, webhook=hook.public_id, asset="AST-00001")
    assert "Work through these 5 checks in order." not in page.main
    assert "Work through these 5 checks in order." in pages.get(HERE).main


def test_the_answer_links_to_the_delivery_or_the_missing_event(app: Flask) -> None:
    pages = visit(app)
    hook = make_webhook()
    other = make_webhook(events=[EventName.LOST])
    make_asset()
    page = ask(pages, webhook=hook.public_id, asset="AST-00001")
    assert pages.follow("View delivery").path.startswith("/deliveries/")
    page = ask(pages, webhook=other.public_id, asset="INFO+sent+AST-00001+to+erp")
    assert page.links("Edit events") == [
        f"/settings/webhooks/{other.public_id}/edit#which_events-0"
    ]


def test_unknown_input_is_reported_and_kept(app: Flask) -> None:
    pages = visit(app)
    hook = make_webhook()
    page = ask(pages, webhook=hook.public_id, asset="LAPTOP-9999")
    assert "No results for “LAPTOP-9999”." in page.main
    assert page.form("/help/no-message").fields["asset"] == ["LAPTOP-9999"]
    make_webhook()
    make_asset()
    for webhook in ("nothing", "00000000-0000-0000-0000-000000000000"):
        page = ask(pages, webhook=webhook, asset="AST-00001")
        assert "Choose a webhook." in page.main
    assert "1. Is it in the log?" in pages.get(HERE).main


def test_a_deleted_webhook_says_who_deleted_it(app: Flask) -> None:
    hook = make_webhook(name="Old CRM")
    make_asset()
    crud.delete(make_user(name="Ben Fox").actor, hook.public_id)
    page = ask(visit(app), webhook=hook.public_id, asset="AST-00001")
    assert "Ben Fox deleted Old CRM" in page.main
    assert page.links("View its deliveries") == [f"/deliveries?webhook={hook.public_id}"]


@pytest.mark.parametrize("text", ["Projector", ""])
def test_several_matching_assets_are_offered(app: Flask, text: str) -> None:
    hook = make_webhook()
    make_asset("Projector")
    make_asset("Projector")
    page = ask(visit(app), webhook=hook.public_id, asset=text)
    assert len(page.links("AST-00001")) == bool(text)


def test_pages_link_there_with_their_subject_filled_in(app: Flask) -> None:
    pages = visit(app)
    hook = make_webhook()
    asset_id = make_asset()
    words = "Why didn’t it arrive?"
    for path, query in (
        (f"/settings/webhooks/{hook.public_id}", f"webhook={hook.public_id}"),
        (f"/assets/{asset_id}/deliveries", "asset=AST-00001"),
        ("/find?q=LAPTOP-0042", "asset=LAPTOP-0042"),
        ("/deliveries?q=LAPTOP-0042", "asset=LAPTOP-0042"),
    ):
        assert f"{HERE}?{query}" in pages.get(path).links(words), path
    page = pages.get("/deliveries")
    page = pages.get(next(link for link in page.links() if link.startswith("/deliveries/0")))
    assert f"{HERE}?webhook={hook.public_id}&asset=AST-00001" in page.links(words)


def test_the_page_is_linked_with_its_webhook_and_asset_where_nothing_is_wrong(
    app: Flask,
) -> None:
    admin = visit(app, "admin")
    hook = make_webhook()
    log = f"/deliveries?webhook={hook.public_id}"
    assert f"/help/no-message?webhook={hook.public_id}" in admin.get(log).links()
    made = make_delivery(hook, status="delivered", asset_tag="LAP-7")
    query = f"/help/no-message?webhook={hook.public_id}"
    for path, target in (
        (f"/deliveries/{made}", f"{query}&asset=LAP-7"),
        (f"{log}&status=delivered", query),
        (f"/deliveries?q=LAP-7&webhook={hook.public_id}", f"{query}&asset=LAP-7"),
    ):
        assert target in admin.get(path).links(), path
    # Beside the one in *More*
    assert admin.get(f"/settings/webhooks/{hook.public_id}").links().count(query) == 2
