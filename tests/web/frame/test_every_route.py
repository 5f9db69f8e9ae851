"""Rules that hold for every route of the portal, including future ones."""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask

from portal.extensions import db
from tests.support.database.statements import asked
from tests.support.deliveries import make_attempt, make_delivery
from tests.support.factories import make_asset, make_user, make_webhook
from tests.support.pages import Pages
from tests.web.frame.test_permissions import pages_of
from tests.web.frame.test_security_headers import addresses

# Programs call these to deliver events, and mail programs to end emails. They act for no user.
WITHOUT_TOKEN = {"inbox.receive", "unsubscribe.end"}
REFUSALS = ("Your browser sent no cookie", "This page has expired")
WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE", "CREATE", "DROP")


@contextmanager
def written() -> Iterator[list[str]]:
    """Collect the statements in this block that change the database."""
    with asked(db.engine, *WRITES) as statements:
        yield statements


def test_a_form_without_its_csrf_token_is_refused_and_changes_nothing(app: Flask) -> None:
    for token in (None, "another's"):
        for is_signed_in in (True, False):
            pages, wrong, person = Pages(app), [], make_user("admin")
            if is_signed_in:
                pages.sign_in(person.email, person.password)
            with written() as statements:
                for endpoint, method, path in pages_of(app):
                    if method == "GET" or endpoint in WITHOUT_TOKEN:
                        continue
                    answer = pages.client.open(
                        path, method=method, data={"csrf_token": token or ""}
                    )
                    if answer.status_code != 400 or not any(
                        refusal in answer.text for refusal in REFUSALS
                    ):
                        wrong.append((endpoint, answer.status))
            assert wrong == [], (is_signed_in, token)
            assert statements == [], (is_signed_in, token)


def test_get_and_head_requests_write_nothing(app: Flask) -> None:
    pages, person = Pages(app), make_user("admin")
    pages.sign_in(person.email, person.password)
    asset_id, hook = make_asset(), make_webhook()
    delivery = make_delivery(hook, asset_id=asset_id, status="failed")
    make_attempt(delivery, reason="server", code=500)
    known = {
        (path, method)
        for public_id in (delivery, hook.public_id, person.public_id)
        for _, method, path in addresses(app, asset_id=asset_id, public_id=public_id)
        if method in {"GET", "HEAD"}
    }
    shown, wrote = 0, dict[str, list[str]]()
    for path, method in sorted(known):
        with written() as statements:
            answer = pages.client.open(path, method=method, buffered=True)
        shown += answer.status_code == 200
        if statements:
            wrote[f"{method} {path}"] = statements
    assert wrote == {}
    assert shown > 120
