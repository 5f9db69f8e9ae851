"""Guessing passwords locks out neither the owner of an account nor people behind the same proxy."""

from flask import Flask

from tests.support.factories import Person, make_user
from tests.support.pages import Pages

OFFICE, HOME, STRANGER = "192.0.2.7", "198.51.100.9", "203.0.113.66"


def browser(app: Flask, address: str) -> Pages:
    """Return an unknown browser at this network address."""
    pages = Pages(app)
    pages.client.environ_base["REMOTE_ADDR"] = address
    return pages


def usual_browser(app: Flask, address: str, *people: Person) -> Pages:
    """Return a browser in which these people have signed in and out before."""
    pages = browser(app, address)
    for person in people:
        assert pages.sign_in(person.email, person.password).path == "/"
        assert pages.sign_out().h1 == "Sign in"
    return pages


def test_guesses_behind_the_same_proxy_do_not_lock_out_known_browsers(
    app: Flask,
) -> None:
    ana, ben = make_user(), make_user()
    shared = usual_browser(app, OFFICE, ana, ben)
    guesser = browser(app, OFFICE)
    for number in range(25):
        last = guesser.sign_in(f"person{number}@example.com", "not the pass phrase")
    assert last.status == 429
    for person in (ana, ben):
        assert shared.sign_in(person.email, person.password).path == "/"
        shared.sign_out()
    assert browser(app, OFFICE).sign_in(ana.email, ana.password).status == 429


def test_a_browser_is_known_only_for_people_who_signed_in_there(app: Flask) -> None:
    ana, ben = make_user(), make_user()
    anas = usual_browser(app, OFFICE, ana)
    for _ in range(5):
        anas.sign_in(ben.email, "not the pass phrase")
    assert anas.sign_in(ben.email, ben.password).status == 429
    assert anas.sign_in(ana.email, ana.password).path == "/"
