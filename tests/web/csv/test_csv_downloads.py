"""CSV files that are sent while they are read, at most two at a time per person."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
from flask import Flask, Response, request_finished
from sqlalchemy import text
from werkzeug.test import TestResponse

from portal.lib.file_lock import FileLock
from portal.services.core.unit_of_work import writing
from portal.services.csv import export
from portal.services.csv.export import TooManyExports, take_slot
from portal.web.forms.csv_download import INCOMPLETE
from tests.support.factories import Person, make_asset, make_user
from tests.support.pages import Page, Pages
from tests.web.signed_in import visit

T = TypeVar("T")
EXPORTS = ["/assets/export.csv", "/deliveries/export.csv", "/settings/audit/export.csv"]


@pytest.fixture
def ana(app: Flask) -> Person:
    return make_user()


@pytest.fixture
def enter(app: Flask) -> Callable[[Person], Pages]:
    def sign_in(person: Person) -> Pages:
        pages = Pages(app)
        pages.sign_in(person.email, person.password)
        return pages

    return sign_in


def free_places(person: Person) -> int:
    """Return how many more exports this person could start."""
    taken: list[FileLock] = []
    try:
        while len(taken) < 9:
            taken.append(take_slot(person.id))
    except TooManyExports:
        pass
    for lock in taken:
        lock.release()
    return len(taken)


def test_a_third_download_of_one_person_is_refused(
    ana: Person, enter: Callable[[Person], Pages]
) -> None:
    pages, others = enter(ana), enter(make_user())
    for path in (*EXPORTS, "/assets/export.csv?q=nuts%26bolts"):
        first, second = take_slot(ana.id), take_slot(ana.id)
        page = pages.get(path)
        assert (page.status, page.links("Try again")) == (429, [path])
        assert others.client.get(path, buffered=True).status_code == 200
        first.release()
        assert pages.client.get(path, buffered=True).status_code == 200
        second.release()
        assert free_places(ana) == 2


def asked_for(app: Flask, person: Person, path: str, look: Callable[[TestResponse], T]) -> T:
    """Return the result of `look` for a response that has only started."""

    def browse() -> T:
        """Request the file in a separate thread, as the server does for each request."""
        pages = Pages(app)
        pages.sign_in(person.email, person.password)
        cookie = pages.client.get_cookie("session")
        assert cookie is not None
        client = app.test_client()
        client.set_cookie("session", cookie.value)
        return look(client.get(path, buffered=False))

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(browse).result(timeout=60)


def test_a_slot_is_held_until_the_browser_disconnects(ana: Person, app: Flask) -> None:
    held: list[int] = []

    def count() -> None:
        with app.app_context():
            held.append(free_places(ana))

    def go_away(answer: TestResponse) -> None:
        count()
        answer.close()  # before the first line
        count()

    for path in EXPORTS:
        asked_for(app, ana, path, go_away)
    assert held == [1, 2] * len(EXPORTS)


def test_reading_ends_once_the_browser_has_disconnected(ana: Person, app: Flask) -> None:
    make_asset()
    kept: list[Any] = []

    def keep(_app: Flask, response: Response) -> None:
        kept.append(response.response)

    def go_away(answer: TestResponse) -> list[str]:
        answer.close()
        return list(kept[-1])

    with request_finished.connected_to(keep, app):
        assert asked_for(app, ana, EXPORTS[0], go_away) == []


def test_a_head_request_takes_no_slot(ana: Person, enter: Callable[[Person], Pages]) -> None:
    answer = enter(ana).client.head(EXPORTS[0])
    assert answer.status_code == 200
    assert free_places(ana) == 2


def test_an_export_that_fails_says_so_in_its_last_line(
    ana: Person, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server then breaks the connection, which some proxies hide from the browser."""
    for number in range(3):
        make_asset(asset_tag=f"L-{number}")
    with writing() as current:
        current.execute(text("UPDATE assets SET updated_at = 'not a time' WHERE asset_tag = 'L-2'"))
    monkeypatch.setattr(export, "CHUNK", 1)

    def read(answer: TestResponse) -> list[str]:
        lines: list[str] = []
        with pytest.raises(ValueError, match="not a time"):
            lines.extend(line.decode() for line in answer.iter_encoded())
        return lines

    lines = asked_for(app, ana, EXPORTS[0], read)
    assert [line[:3] for line in lines[1:3]] == ["L-0", "L-1"]
    assert lines[3:] == [f"{INCOMPLETE}\r\n"]
    assert free_places(ana) == 2


def test_an_unreadable_filter_is_answered_with_the_list(app: Flask) -> None:
    pages, bad = visit(app), "category=none&since=never"
    for page, asked in (
        ("/deliveries?", "/deliveries/export.csv?"),
        ("/deliveries?", "/deliveries/export-for-excel.csv?"),
        ("/deliveries?all=1&", "/deliveries/retry?all=1&"),
        ("/assets?", "/assets/export.csv?"),
        ("/settings/audit?", "/settings/audit/export.csv?"),
    ):
        the_list, answer = pages.get(f"{page}{bad}"), pages.get(f"{asked}{bad}")
        assert (answer.status, answer.errors) == (400, the_list.errors), asked
        assert links(answer) == links(the_list), asked


def links(page: Page) -> list[str]:
    return [link.get("href") for link in page.root.find_all("a")]
