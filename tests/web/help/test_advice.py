"""Advice that names people to ask, with a message for them."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from flask import Flask, g
from flask_login import login_user

from portal.lib.clock import utcnow
from portal.models.people import User
from portal.services.core.unit_of_work import session, writing
from portal.web.frame.access import SignedIn
from portal.web.help.advice import Context, advise, asking, contact, message_of
from tests.support.factories import make_user, make_webhook

EDIT, RETRY, CHANGE = "webhooks.edit", "deliveries.retry", "assets.edit"


def admins(*names: str, **columns: Any) -> None:
    for name in names:
        make_user(name=name, **columns)


def read_as(app: Flask, role: str) -> Any:
    """Push a request context of a person with this role, and return it."""
    person = make_user(role, name="The reader")
    context = app.test_request_context()
    context.push()
    user = session().get(User, person.id)
    assert user
    login_user(SignedIn(user, UUID(int=1), utcnow()))
    return context


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "an administrator"),
        (["Ada Admin"], "an administrator (Ada Admin)"),
        (["Ada Admin", "Bo Boss"], "an administrator (Ada Admin or Bo Boss)"),
        (
            ["Ada Admin", "Bo Boss", "Cy Chief", "Di"],
            "an administrator (Ada Admin, Bo Boss or another administrator)",
        ),
    ],
)
def test_up_to_two_people_are_named(app: Flask, names: list[str], words: str) -> None:
    admins(*names)
    admins("Gone", is_active=False)
    make_user("support", name="Sue")
    with app.test_request_context():
        assert contact(EDIT) == words


def test_the_webhook_owner_comes_first_while_their_role_permits_it(app: Flask) -> None:
    admins("Ada Admin", "Bo Boss")
    owner = make_user(name="Olga Owner")
    hook = make_webhook(owner_id=owner.id)
    with app.test_request_context():
        words = "an administrator (Olga Owner, Ada Admin or another administrator)"
        assert contact(EDIT, hook.public_id) == words
    with writing() as current:
        current.get_one(User, owner.id).role = "support"
    with app.test_request_context():
        g.pop("contacts")  # cached by the earlier request
        assert contact(EDIT, hook.public_id) == "an administrator (Ada Admin or Bo Boss)"


def test_lower_roles_are_named_before_administrators(app: Flask) -> None:
    admins("Ada Admin")
    make_user("support", name="Sue Support")
    make_user("manager", name="Mia Manager")
    with app.test_request_context():
        assert contact(RETRY) == "support or an administrator (Sue Support or Ada Admin)"
        assert contact(CHANGE) == "a manager or an administrator (Mia Manager or Ada Admin)"


def test_a_sentence_can_ask_at_its_start_or_in_its_middle(app: Flask) -> None:
    admins("Ada {ask} Admin")
    with app.test_request_context():
        asked = "Ask an administrator (Ada {ask} Admin) to edit it."
        assert asking("{ask} to edit it.", EDIT) == asked
        assert asking("Wait, then {ask}.", EDIT).startswith("Wait, then ask an administrator (Ada")


def test_the_message_is_plain_lines(app: Flask) -> None:
    context = Context(
        name="ERP\nNeeded: nothing",
        happened="It refused.",
        since=datetime(2026, 5, 3, 10, 42, tzinfo=UTC),
        path="/deliveries/1",
    )
    with app.test_request_context():
        lines = message_of(context, "Enter the final address.").splitlines()
    assert lines == [
        "Webhook: ERP Needed: nothing",
        "What happened: It refused.",
        "Since: May 3, 2026, 12:42:00 (Europe/Vienna)",
        "Needed: Enter the final address.",
        f"Link: {app.extensions['settings'].base_url}/deliveries/1",
    ]


@pytest.mark.parametrize("role", ["admin", "support"])
def test_a_permitted_role_gets_the_link_and_others_the_message(app: Flask, role: str) -> None:
    admins("Ada Admin")
    context = read_as(app, role)
    try:
        advice = advise(
            EDIT,
            "Edit it.",
            "{ask} to edit it.",
            context=Context(name="ERP"),
            links=[("Edit", "/edit")],
        )
    finally:
        context.pop()
    if role == "admin":
        assert (advice.sentence, list(advice.links), advice.message) == (
            "Edit it.",
            [("Edit", "/edit")],
            "",
        )
    else:
        assert advice.sentence == "Ask an administrator (Ada Admin) to edit it."
        assert list(advice.links) == []
        assert advice.message == "Webhook: ERP\nNeeded: Edit it."
