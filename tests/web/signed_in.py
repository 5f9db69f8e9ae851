"""People at a browser who are signed in already, for tests that are not about signing in."""

from typing import Any
from uuid import uuid4

from flask import Flask

from portal.models.people import User
from portal.services.core.unit_of_work import session
from portal.web.frame.access import SignedIn
from tests.support.factories import make_user
from tests.support.pages import Pages


def visit(app: Flask, role: str = "admin", **columns: Any) -> Pages:
    """Somebody with this role, signed in, with no page open yet."""
    person, pages = make_user(role, **columns), Pages(app)
    user = session().get(User, person.id)
    assert user is not None
    with pages.client.session_transaction() as kept:
        kept["_user_id"] = SignedIn(user, uuid4()).get_id()
        kept["_fresh"] = True
    session().rollback()
    return pages
