"""The first steps of a new portal: from the first asset to the first colleague."""

from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import update

from jobs import tasks as job
from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.models.people import Role, User
from portal.services.core.unit_of_work import writing
from portal.services.operations.first_run import NEW_FOR
from portal.services.people import invitations
from portal.services.task_kinds import KINDS
from tests.support.deliveries import make_delivery
from tests.support.factories import make_asset, make_user, make_webhook
from tests.support.pages import Page
from tests.web.signed_in import signed_in, visit


def steps(page: Page) -> dict[str, bool]:
    """Return whether each step is done, by title."""
    items = [node for node in page.root.find_all("li") if "step" in node.get("class").split()]
    titles = [title.text for item in items for title in item.find_all("h3")]
    return {title.removesuffix(" Done"): title.endswith(" Done") for title in titles}


def test_a_new_portal_shows_only_the_first_steps(app: Flask) -> None:
    page = visit(app).get("/")
    assert [node.text for node in page.root.find_all("h2")] == ["First steps"]
    assert page.links("Import a file") == ["/assets/import"]
    assert page.links("Use the inbox") == ["/inbox"]


def test_each_step_is_marked_as_done_until_none_is_left(app: Flask) -> None:
    admin = make_user()
    pages = signed_in(app, admin)
    titles = ["Add your assets", "Connect a system", "See it delivered", "Invite a colleague"]
    done = []
    for title, act in zip(
        titles,
        [
            make_asset,
            make_webhook,
            lambda: make_delivery(status="delivered"),
            lambda: invitations.invite(admin.actor, "cleo@example.com", Role.SUPPORT),
        ],
        strict=True,
    ):
        assert steps(pages.get("/")) == {step: step in done for step in titles}
        act()
        done.append(title)
    assert steps(pages.get("/")) == {}


def test_a_role_that_cannot_take_a_step_is_told_whom_to_ask(app: Flask) -> None:
    make_user("admin", name="Ada Admin")
    page = visit(app, Role.SUPPORT).get("/")
    assert not page.links("Add asset")
    assert page.main.count("Ask an administrator (Ada Admin).") == 1


def test_a_lone_user_is_asked_to_invite_a_colleague_only_for_a_while(app: Flask) -> None:
    make_asset()
    make_delivery(status="delivered")
    pages = visit(app)
    assert steps(pages.get("/"))["Invite a colleague"] is False
    with writing() as current:
        current.execute(update(User).values(created_at=utcnow() - NEW_FOR - timedelta(hours=1)))
    assert steps(pages.get("/")) == {}


@pytest.fixture
def trial(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.extensions, "settings", replace(settings(), local_trial=True))


@pytest.mark.usefixtures("trial")
def test_sample_data_is_loaded_once_even_if_requested_twice(
    app: Flask,
) -> None:
    pages = visit(app)
    form = pages.get("/").form("/sample-data")
    loading = pages.submit(form, "Load sample data")
    assert loading.h1 == "Load sample data"
    assert pages.submit(form, "Load sample data").path == loading.path
    assert pages.get("/").links("View progress") == [loading.path]


@pytest.mark.usefixtures("trial")
def test_sample_data_is_not_loaded_into_a_register_with_assets(app: Flask) -> None:
    pages = visit(app)
    form = pages.get("/").form("/sample-data")
    loading = pages.submit(form, "Load sample data")
    make_asset()
    job.work(KINDS)
    failed = pages.get(loading.path)
    assert "This register already has assets." in failed.main
    refused = f"To start over, stop the portal, delete the folder {settings().instance_dir}, and"
    assert "To start over" not in pages.get("/").main
    assert refused in pages.submit(form, "Load sample data").flashes[0][1]


def test_sample_data_is_offered_only_to_administrators_of_a_local_trial(
    app: Flask, request: pytest.FixtureRequest
) -> None:
    admin = visit(app)
    csrf = admin.get("/").forms[0].hidden
    assert "sample data" not in admin.get("/").main
    assert "only in a local trial" in admin.post("/sample-data", csrf).flashes[0][1]
    request.getfixturevalue("trial")
    assert "Load sample data" in admin.get("/").main
    assert "sample data" not in visit(app, Role.MANAGER).get("/").main
