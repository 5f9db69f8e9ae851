"""Each request has an ID that its log lines, its error page, and the job it queues carry."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from flask import Flask
from rq import Queue
from sqlalchemy import event, text

from portal.extensions import db
from portal.lib import request_id
from portal.logs import TRAFFIC, JsonFormatter, secrets_of
from portal.queue.names import DELIVERIES
from portal.queue.portal_job import PortalJob
from portal.web.frame import request_log
from portal.web.frame.request_log import HEADER
from tests.support.factories import PASSWORD, make_user
from tests.support.pages import Pages
from tests.support.servers import ValkeyServer
from tests.web.signed_in import visit

SECRET = "a secret key that is our own"
HEADER_VALUE = "header-value-of-the-admin"


class Heard(logging.Handler):
    """Every log line in the format that the portal writes."""

    def __init__(self, app: Flask) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter("web", secrets_of(app.extensions["settings"])))
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


@pytest.fixture
def heard(app: Flask) -> Iterator[Heard]:
    handler, root = Heard(app), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    logging.getLogger(TRAFFIC).setLevel(logging.INFO)
    yield handler
    root.removeHandler(handler)
    root.setLevel(before)
    logging.getLogger(TRAFFIC).setLevel(logging.NOTSET)
    request_id.carry_on("")


def traffic(heard: Heard) -> list[dict[str, Any]]:
    return [line for line in heard.lines if line["logger"] == TRAFFIC]


def test_a_long_path_is_cut_off_in_the_log(app: Flask, heard: Heard) -> None:
    Pages(app).client.get("/" + "token" * 1_000)
    (line,) = traffic(heard)
    assert line["message"] == "GET /" + ("token" * 60)[:299] + " 404"


def test_each_request_has_its_own_id_in_its_response_and_log_line(app: Flask, heard: Heard) -> None:
    pages = visit(app)
    ids = [pages.get("/").response.headers[HEADER] for _ in range(2)]
    assert ids[0] != ids[1]
    lines = traffic(heard)
    assert [line["request_id"] for line in lines] == ids
    assert (lines[0]["message"], lines[0]["status"]) == ("GET / 200", 200)
    assert lines[0]["took_ms"] >= 0
    assert isinstance(lines[0]["took_ms"], int)
    assert lines[0]["person"] > 0


def test_a_log_line_gives_the_duration_of_its_request(
    app: Flask, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = count()
    monkeypatch.setattr(request_log, "monotonic", lambda: float(next(seconds)))
    answer = visit(app).get("/").response
    (line,) = traffic(heard)
    assert (line["took_ms"], line["request_id"]) == (1000, answer.headers["X-Request-Id"])


def test_frequent_machine_requests_are_not_logged(
    app: Flask, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = replace(app.extensions["settings"], local_trial=True)
    monkeypatch.setitem(app.extensions, "settings", trial)
    client = app.test_client()
    for path in ("/healthz", "/readyz?for=pages", "/metrics", "/static/favicon.svg"):
        assert client.get(path, buffered=True).status_code == 200
    assert traffic(heard) == []


def make_webhook_by_hand(pages: Pages) -> str:
    form = pages.get("/settings/webhooks/new").form("/settings/webhooks/new")
    page = pages.submit(
        form,
        "Save webhook",
        name="Sync",
        url="https://erp.example.com/hook",
        events=["asset.created"],
        secret_mode="own",
        secret=SECRET,
        **{"headers-0-name": "X-Api-Key", "headers-0-value": HEADER_VALUE},
    )
    assert page.h1 == "Sync"
    return page.path


def test_the_job_that_a_request_queues_has_its_id(app: Flask, valkey_server: ValkeyServer) -> None:
    pages = visit(app)
    page = pages.get(make_webhook_by_hand(pages))
    form = page.form(f"{page.path}/test")
    answer = pages.submit(form, event="asset.created", follow=False)
    redis = valkey_server.client()
    (job_id,) = Queue(DELIVERIES, connection=redis).job_ids
    meta = PortalJob.fetch(job_id, connection=redis).meta
    assert meta == {"request_id": answer.response.headers[HEADER]}


def test_no_log_line_contains_a_secret(app: Flask, heard: Heard) -> None:
    person, pages = make_user(), Pages(app)
    pages.sign_in(person.email, "the wrong pass phrase")
    pages.sign_in(person.email, PASSWORD)
    path = make_webhook_by_hand(pages)
    form = pages.get(f"{path}/edit").form(f"{path}/edit")
    break_the_table()
    try:
        page = pages.submit(form, "Save webhook", secret_mode="own", secret=f"{SECRET} 2")
    finally:
        mend_the_table()
    assert page.status >= 500
    lines = [json.dumps(line) for line in heard.lines]
    assert any("UPDATE" in line or "webhooks" in line for line in lines if '"error":' in line)
    cookie = pages.client.get_cookie("session")
    assert cookie is not None
    settings = app.extensions["settings"]
    for secret in (
        *(SECRET, HEADER_VALUE, PASSWORD, "the wrong pass phrase", "argon2id$", cookie.value),
        *(settings.secret_key, settings.encryption_keys[0]),
    ):
        assert not [line for line in lines if secret in line], secret


def break_the_table() -> None:
    with db.engine.begin() as connection:
        connection.execute(text("ALTER TABLE webhooks RENAME COLUMN name TO gone"))


def mend_the_table() -> None:
    with db.engine.begin() as connection:
        connection.execute(text("ALTER TABLE webhooks RENAME COLUMN gone TO name"))


def test_a_save_refused_during_an_outage_is_one_log_line(app: Flask, heard: Heard) -> None:
    if db.engine.dialect.name != "sqlite":
        pytest.skip("only SQLite is closed to changes by a word of ours")
    pages = visit(app)
    form = pages.get("/assets/new").form("/assets/new")
    event.listen(db.engine, "checkout", close_to_changes)
    try:
        page = pages.submit(form, "Save asset", asset_tag="AST-1", name="Projector")
    finally:
        event.remove(db.engine, "checkout", close_to_changes)
        event.listen(db.engine, "checkout", open_to_changes)
        db.session.rollback()
        with db.engine.connect():
            pass
        event.remove(db.engine, "checkout", open_to_changes)
    assert (page.status, page.h1) == (503, "Not saved: the portal isn’t ready")
    assert "This was not saved. The database is busy or full." in page.text
    (line,) = [line for line in heard.lines if line["level"] == "error"]
    assert line["message"] == (
        "The database rejected a request: attempt to write a readonly database"
    )
    assert "error" not in line
    assert line["request_id"] == page.response.headers[HEADER]


def close_to_changes(connection: Any, *_: object) -> None:
    connection.execute("PRAGMA query_only = ON")


def open_to_changes(connection: Any, *_: object) -> None:
    connection.execute("PRAGMA query_only = OFF")


def test_an_error_page_shows_the_id_of_its_log_line(app: Flask, heard: Heard) -> None:
    pages = visit(app)
    break_the_table()
    try:
        page = pages.get("/settings/webhooks")
    finally:
        mend_the_table()
    assert page.status >= 500
    reference = page.response.headers[HEADER]
    assert reference in page.main
    assert any(line.get("request_id") == reference and "error" in line for line in heard.lines)
