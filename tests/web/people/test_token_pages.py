"""Settings → API: tokens are created, shown once, extended, and revoked."""

from datetime import timedelta

from flask import Flask

from portal.lib.clock import utcnow
from portal.models.people import Role, Token, UserSession
from portal.services.core.unit_of_work import session, writing
from portal.services.people import tokens
from portal.services.people.tokens import program_of
from portal.services.webhooks import crud
from portal.services.webhooks.rows import find_webhook
from portal.services.webhooks.rules import WebhookValues
from tests.support.factories import make_user
from tests.support.pages import Page, Pages
from tests.web.signed_in import signed_in


def create(pages: Pages, **values: str) -> Page:
    form = pages.get("/settings/api/new").form()
    return pages.submit(form, **{"name": "MDM", "role": "manager"} | values)


def token_on(page: Page) -> str:
    return next(node.text for node in page.root.find_all("pre"))


def test_a_token_is_shown_only_in_the_response_to_its_form(app: Flask) -> None:
    pages = signed_in(app, make_user(name="Ana"))
    page = create(pages)
    token = token_on(page)
    program = program_of(token)
    assert program is not None
    assert program.ends_at is not None
    assert 364 <= (program.ends_at - utcnow()).days <= 365
    with pages.client.session_transaction() as kept:
        assert token not in str(dict(kept))
    row = pages.get("/settings/api").rows()[0]
    assert row[:3] == ["MDM", "Manager", "Active"]
    for path in ("/settings/api", *page.links("Done"), "/settings/audit"):
        assert token not in pages.get(path).html


def test_a_form_sent_twice_creates_one_token_and_says_so(app: Flask) -> None:
    pages = signed_in(app, make_user())
    form = pages.get("/settings/api/new").form()
    pages.submit(form, name="MDM", role="manager")
    again = pages.submit(form, name="MDM", role="manager")
    assert "already created" in str(again.flashes)
    assert session().query(Token).count() == 1


def test_a_token_can_be_extended_and_a_revoked_one_is_invalid(app: Flask) -> None:
    pages = signed_in(app, make_user())
    page = create(pages)
    token, (path,) = token_on(page), page.links("Done")
    pages.submit(pages.get(path).form(f"{path}/end"), lasts="none")
    program = program_of(token)
    assert program is not None
    assert program.ends_at is None
    asked = pages.get(f"{path}/revoke")
    assert program_of(token)
    pages.submit(asked.form())
    assert program_of(token) is None
    assert "Revoked" in pages.get(path).main


def test_webhooks_of_a_token_are_named_and_can_be_turned_off(app: Flask) -> None:
    pages = signed_in(app, make_user())
    for name, turn_off, state in (("MDM", True, "off"), ("HR", False, "active")):
        page = create(pages, name=name, role="admin")
        (path,) = page.links("Done")
        program = program_of(token_on(page))
        assert program is not None
        values = WebhookValues(name=f"{name}’s", url="https://x.example/", events=("*",))
        webhook = crud.create(program.actor, values)
        assert f"{name}’s" in pages.get(path).main
        pages.submit(pages.get(f"{path}/revoke").form(), **({"turn_off": "y"} if turn_off else {}))
        assert find_webhook(session(), webhook).state == state, name


def test_each_change_of_a_token_asks_for_the_password_again(app: Flask) -> None:
    pages = signed_in(app, make_user())
    (path,) = create(pages).links("Done")
    page = pages.get(path)
    revoking = pages.get(f"{path}/revoke").form()
    with writing() as current:
        current.query(UserSession).update({"confirmed_at": utcnow() - timedelta(minutes=16)})
    moved = pages.submit(page.form(f"{path}/end"), lasts="none")
    revoked = pages.submit(revoking)
    assert {moved.h1, revoked.h1, pages.get("/settings/api/new").h1} == {"Confirm your password"}
    assert [token.ends_at is None for token in tokens.listing()] == [False]


def test_tokens_of_a_person_are_named_before_disabling_or_erasing(app: Flask) -> None:
    ana, ben = make_user(), make_user()
    tokens.create(ben.actor, "MDM", Role.SUPPORT, read_only=True, days=None)
    pages = signed_in(app, ana)
    for path in (f"/settings/people/{ben.public_id}", f"/settings/people/{ben.public_id}/erase"):
        assert "MDM" in pages.get(path).main
    assert "MDM" not in pages.get(f"/settings/people/{make_user().public_id}").main


def test_a_command_prints_a_token(app: Flask) -> None:
    words = ("create-token", "MDM", "--role", "support", "--read-only", "--days", "30")
    answer = app.test_cli_runner().invoke(args=list(words))
    program = program_of(answer.stdout.strip())
    assert program is not None
    assert (program.role, program.read_only) == (Role.SUPPORT, True)
    usual = app.test_cli_runner().invoke(args=["create-token", "ERP", "--role", "viewer"])
    ends_at = program_of(usual.stdout.strip()).ends_at  # type: ignore[union-attr]  # it exists
    assert ends_at is not None
    assert ends_at - utcnow() > timedelta(days=364)
    again = app.test_cli_runner().invoke(args=list(words))
    assert again.exit_code == 1
    assert "Another token has or had this name" in again.stderr
