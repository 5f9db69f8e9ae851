"""Browsers that are already signed in, for tests that are not about signing in."""

from typing import Any

from flask import Flask

from portal.models.people import User
from portal.services.core.unit_of_work import writing
from portal.services.people import sessions
from tests.support.factories import Person, make_user
from tests.support.pages import Pages


def visit(app: Flask, role: str = "admin", **columns: Any) -> Pages:
    """Sign in a new user with this role, with no page open yet."""
    return signed_in(app, make_user(role, **columns))


def signed_in(app: Flask, person: Person, device: str = sessions.UNKNOWN_DEVICE) -> Pages:
    """Sign this person in to one more browser, which is called `device`."""
    pages = Pages(app)
    with writing() as current:
        user = current.get_one(User, person.id)
        admission = sessions.begin(current, user, device)
    with pages.client.session_transaction() as kept:
        kept["_user_id"] = str(admission.session_id)
        kept["_fresh"] = True
        kept.permanent = True
    return pages
