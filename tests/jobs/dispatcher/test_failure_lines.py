"""Each failed attempt and each pause leaves one log line without secrets."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from jobs.deliver import deliver_due
from portal.engine.reasons import Reason
from portal.lib import request_id
from portal.logs import JsonFormatter, LineFormatter, secrets_of
from portal.services.core.unit_of_work import writing
from portal.services.dispatch import record_results
from portal.services.dispatch.record_results import Journal
from tests.jobs.dispatcher.delivery_clock import claim, deliveries, end_pause, ended, make_due
from tests.support.factories import make_webhook, publish
from tests.support.ports import free_port
from tests.support.receiver import Receiver

SECRET = "the secret key of it"


class Lines(logging.Handler):
    """Collects the log lines about deliveries as JSON and as plain text."""

    def __init__(self, app: Flask) -> None:
        super().__init__()
        secrets = secrets_of(app.extensions["settings"])
        self._json, self._plain = JsonFormatter("worker", secrets), LineFormatter(secrets)
        self.machines: list[dict[str, Any]] = []
        self.people: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.machines.append(json.loads(self._json.format(record)))
        self.people.append(self._plain.format(record))


@pytest.fixture
def lines(app: Flask) -> Iterator[Lines]:
    handler = Lines(app)
    record_results.log.addHandler(handler)
    yield handler
    record_results.log.removeHandler(handler)
    request_id.carry_on("")


def test_a_failure_line_names_delivery_webhook_reason_time_and_request(
    lines: Lines, receiver: Receiver
) -> None:
    request_key = request_id.begin()
    hook = make_webhook(
        f"{receiver.url}?key=in-the-address", secret=SECRET, headers=[("X-Key", "in-a-header")]
    )
    publish()
    request_id.carry_on("")
    receiver.answer(status=500, body=b"no\nsuch luck")
    deliver_due()
    delivery = deliveries()[0].public_id
    (line,) = lines.machines
    fields = {name: line[name] for name in ("level", "webhook", "delivery", "attempt", "reason")}
    assert fields == {
        "level": "warning",
        "webhook": str(hook.public_id),
        "delivery": str(delivery),
        "attempt": 1,
        "reason": "server",
    }
    assert (line["code"], line["request_id"]) == (500, request_key)
    assert line["took_ms"] >= 0
    (text,) = lines.people
    assert f"Attempt 1 of delivery {delivery} to webhook {hook.public_id} failed: server (500)" in (
        text
    )
    assert not any(word in text for word in ("in-the-address", "in-a-header", SECRET, "\n"))
    receiver.answer(status=200)
    make_due()
    deliver_due()
    assert len(lines.machines) == 1


def test_each_pause_has_its_own_line(lines: Lines) -> None:
    hook = make_webhook(f"http://127.0.0.1:{free_port()}/")
    publish()
    for _ in range(2):
        deliver_due()
        end_pause()
        make_due()
    pauses = [line for line in lines.machines if "pause_s" in line]
    assert [line["pause_s"] for line in pauses] == [5, 10]
    assert {(line["webhook"], line["reason"]) for line in pauses} == {
        (str(hook.public_id), "refused")
    }
    assert f"Webhook {hook.public_id} backs off for 5 s: refused" in lines.people[1]
    assert len(lines.machines) == 4


def test_foreign_text_stays_on_one_line(lines: Lines) -> None:
    detail = "bad reply\r\nERROR all is lost\x1b[2J größe"
    hook = make_webhook()
    publish()
    (sent,) = claim()
    failed = ended(sent, Reason.BAD_REPLY)._replace(detail=detail)
    journal = Journal()
    with writing() as current:
        journal.note(current.connection(), [failed], {})
    journal.write()
    (text,) = lines.people
    assert text == (
        f"WARNING Attempt 1 of delivery {sent.public_id} to webhook {hook.public_id} failed: "
        "bad_reply, after 1 ms: bad reply\\r\\nERROR all is lost\\x1b[2J größe"
    )
