"""Settings → Users with invitations and roles, and `flask create-user`."""

from urllib.parse import urlsplit

from click.testing import Result
from flask import Flask

from portal.extensions import settings
from portal.models.people import Role, User
from portal.services.core.permissions import EVERYONE, PERMISSIONS
from portal.services.core.unit_of_work import session
from portal.services.people import accounts
from portal.web.people.forms import ROLE_HINTS
from tests.support.factories import PASSWORD, make_user
from tests.support.pages import Page, Pages
from tests.web.signed_in import signed_in


def invite(pages: Pages, email: str = "cleo@example.com", role: str = "support") -> Page:
    form = pages.get("/settings/people/invite").form()
    return pages.submit(form, email=email, role=role)


def link_on(page: Page) -> str:
    """Return the path of the link shown on the page."""
    address = next(node.text for node in page.root.find_all("pre"))
    parts = urlsplit(address)
    return f"{parts.path}?{parts.query}"


def test_an_invited_person_joins_through_the_link(app: Flask) -> None:
    pages = signed_in(app, make_user(name="Ana"))
    page = invite(pages)
    assert page.h1 == "Invitation for cleo@example.com"
    cleo = Pages(app)
    door = cleo.get(link_on(page))
    assert "cleo@example.com" in door.main
    # Choosing a theme would reload the page and lose the entered values.
    assert [form for form in door.forms if form.action == "/theme"] == []
    assert cleo.submit(door.form(), name="Cleo", password=PASSWORD).path == "/"
    assert cleo.get("/settings/people").status == 403
    assert cleo.get(link_on(page)).status == 410
    rows = pages.get("/settings/people").rows()
    assert ["Cleo", "cleo@example.com", "Support", "Active"] in [row[:4] for row in rows]


def test_the_link_is_shown_only_on_its_page_until_it_is_copied(app: Flask) -> None:
    pages = signed_in(app, make_user())
    form = pages.get("/settings/people/invite").form()
    answer = pages.submit(form, email="cleo@example.com", role="support", follow=False)
    assert "token" not in answer.location
    token = link_on(pages.get(answer.location)).partition("token=")[2]
    with pages.client.session_transaction() as kept:
        assert token not in str(dict(kept))
    page = pages.submit(pages.page.form(f"{answer.location}/copied"))
    assert page.path == "/settings/people"
    assert "token=" not in pages.get(answer.location).html


def test_an_invitation_can_be_renewed_and_canceled(app: Flask) -> None:
    pages = signed_in(app, make_user())
    page = invite(pages)
    before = link_on(page)
    page = pages.submit(page.form(f"{page.path}/renew"))
    after = link_on(page)
    assert Pages(app).get(before).status == 410
    assert Pages(app).get(after).status == 200
    page = pages.submit(page.form(f"{page.path}/cancel"))
    assert "cleo@example.com" not in page.main
    assert Pages(app).get(after).status == 410


def test_a_closed_invitation_says_so_and_leads_to_the_users(app: Flask) -> None:
    pages = signed_in(app, make_user())
    first, second = invite(pages), invite(pages, "dora@example.com")
    cleo = Pages(app)
    cleo.submit(cleo.get(link_on(first)).form(), name="Cleo", password=PASSWORD)
    pages.submit(second.form(f"{second.path}/cancel"))
    for page, sentence in (
        (pages.get(first.path), "cleo@example.com accepted this invitation."),
        (pages.submit(first.form(f"{first.path}/renew")), "cleo@example.com accepted"),
        (pages.get(second.path), "This invitation was canceled."),
    ):
        assert (page.path, page.status) == ("/settings/people", 200)
        assert [words for _, words in page.flashes if sentence in words], sentence
    nothing = "01a2319a-b33d-7799-a4cf-c36e51f4e494"
    assert pages.get(f"/settings/people/invitations/{nothing}").status == 404


def test_an_invitation_needs_a_new_email_address_and_a_role(app: Flask) -> None:
    pages = signed_in(app, make_user(email="ana@example.com"))
    page = pages.submit(pages.get("/settings/people/invite").form(), email="cleo")
    assert page.wrong == ["email", "role"]
    page = invite(pages, "ANA@example.com")
    assert page.status == 409
    assert page.wrong == ["email"]


def test_a_late_change_of_a_role_shows_both_versions(app: Flask) -> None:
    ben = make_user(Role.SUPPORT, name="Ben")
    ana, cleo = signed_in(app, make_user(name="Ana")), signed_in(app, make_user(name="Cleo"))
    path = f"/settings/people/{ben.public_id}"
    hers, theirs = ana.get(path).form(), cleo.get(path).form()
    ana.submit(hers, role="manager")
    page = cleo.submit(theirs, role="admin")
    assert page.status == 409
    assert "Ana changed this" in page.main
    assert page.rows() == [["Role", "Manager", "Administrator"]]
    edited = cleo.submit(page.form(), "Keep editing my version")
    assert edited.form().fields["role"] == ["admin"]
    assert session().get_one(User, ben.id).role == Role.MANAGER
    page = cleo.submit(page.form())
    assert session().get_one(User, ben.id, populate_existing=True).role == Role.ADMIN


def test_role_hints_name_all_permissions_of_each_role(app: Flask) -> None:
    """Fail if a role gets a permission that is neither in this table nor in its hint."""
    expected = {
        Role.SUPPORT: {
            "webhooks.test": "test webhooks",
            "deliveries.retry": "retry",
            "deliveries.dismiss": "dismiss deliveries",
            "deliveries.content": "view everything",
        },
        Role.MANAGER: {
            "assets.edit": "edit assets",
            "alerts.acknowledge": "alerts",
            "deliveries.content": "view webhooks and deliveries",
        },
        Role.VIEWER: {},
    }
    page = signed_in(app, make_user()).get("/settings/people/invite")
    for role, words in expected.items():
        own = {name for name, roles in PERMISSIONS.items() if role in roles and roles != EVERYONE}
        assert own == words.keys()
        assert all(phrase in ROLE_HINTS[role] for phrase in words.values())
        assert ROLE_HINTS[role].removesuffix(".") in page.main


def test_sign_in_without_users_only_says_how_to_set_up(app: Flask) -> None:
    main = Pages(app).get("/sign-in").main
    assert main.startswith("Sign in Open the setup link that the portal printed at its start.")
    assert f"{settings().command_name} setup-link" in main
    answer = app.test_cli_runner().invoke(args=["setup-link"])
    pages, parts = Pages(app), urlsplit(answer.stdout.strip())
    page = pages.get(f"{parts.path}?{parts.query}")
    assert pages.submit(page.form(), name="Ana", email="a@b.example", password=PASSWORD).path == "/"
    assert "setup-link" not in Pages(app).get("/sign-in").main
    assert app.test_cli_runner().invoke(args=["setup-link"]).exit_code == 1


def run(app: Flask, *words: str, given: str | None = None) -> Result:
    return app.test_cli_runner().invoke(args=["create-user", *words], input=given)


def test_create_user_prints_a_link_that_works_once(app: Flask) -> None:
    result = run(app, "Cleo@example.com", "--role", "manager")
    assert result.exit_code == 0
    parts = urlsplit(result.stdout.strip())
    cleo = Pages(app)
    page = cleo.get(f"{parts.path}?{parts.query}")
    assert cleo.submit(page.form(), name="Cleo", password=PASSWORD).path == "/"
    assert [(p.email, p.role) for p in accounts.listing()] == [("cleo@example.com", "manager")]


def test_create_user_can_take_the_password_from_standard_input(app: Flask) -> None:
    words = ("cleo@example.com", "--role", "admin", "--password-stdin")
    result = run(app, *words, given=f"{PASSWORD}\n")
    assert result.exit_code == 0
    assert PASSWORD not in result.output
    assert Pages(app).sign_in("cleo@example.com", PASSWORD).path == "/"
    for given in (f"{PASSWORD}\n", "short\n"):
        assert run(app, *words, given=given).exit_code == 1
    assert run(app, "nonsense", "--role", "admin").exit_code == 1
