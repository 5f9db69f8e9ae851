"""Webhooks, deliveries, bulk retries, and alerts: what programs read and do."""

from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from flask import Flask

from portal.models.people import Role
from portal.services.core.unit_of_work import session
from portal.services.webhooks import crud
from portal.services.webhooks.rows import find_webhook, open_secret
from tests.api.client import Program, program
from tests.support.deliveries import make_delivery
from tests.support.factories import make_webhook, publish

pytestmark = pytest.mark.usefixtures("app")

URL = "https://erp.example.com/hooks?key=hush-hush"


@pytest.fixture
def at(app: Flask) -> Program:
    return program(app)


def made(at: Program, **values: Any) -> dict[str, Any]:
    return at.made("/webhooks", **{"url": URL, "events": ["asset.created"]} | values)


def stored_secret(webhook: dict[str, Any]) -> str | None:
    session().rollback()
    row = find_webhook(session(), UUID(webhook["id"]))
    return open_secret(row.id, row.secret_enc)


def test_a_program_subscribes_with_two_fields_and_unsubscribes(at: Program) -> None:
    sample = at.get("/event-types/asset.created/sample").json
    assert sample is not None
    assert sample["event"] == "asset.created"
    first, second = made(at), made(at)
    me = at.get("/me").json
    assert me is not None
    assert [first["name"], second["name"]] == [f"{me['name']} 1", f"{me['name']} 2"]
    assert (first["made_by"], first["status"], first["active"]) == (me["name"], "active", True)
    publish()
    (one, other) = at.items("/deliveries")
    assert {one["webhook_id"], other["webhook_id"]} == {first["id"], second["id"]}
    assert at.ask("DELETE", f"/webhooks/{first['id']}").status_code == 204
    assert [each["id"] for each in at.items("/webhooks")] == [second["id"]]


def test_a_generated_key_stands_in_one_answer_and_signs(at: Program) -> None:
    key = {"Idempotency-Key": "once"}
    body = {"url": URL, "events": ["*"], "headers": {"X-Tenant": "hidden"}}
    first = at.ask("POST", "/webhooks", json=body, headers=key).json
    again = at.ask("POST", "/webhooks", json=body, headers=key).json
    assert first is not None
    assert again is not None
    assert first["secret"].startswith("whsec_")
    assert stored_secret(first) == first["secret"]
    assert "secret" not in again
    assert (again["has_secret"], again["header_names"]) == (True, ["X-Tenant"])
    shown = at.get(f"/webhooks/{first['id']}").get_data(as_text=True)
    assert first["secret"] not in shown
    assert "hidden" not in shown
    changed = at.ask("POST", f"/webhooks/{first['id']}/secret", json={}).json
    assert changed is not None
    assert stored_secret(first) == changed["secret"] != first["secret"]
    at.ask("POST", f"/webhooks/{first['id']}/secret", json={"secret": "none"})
    assert stored_secret(first) is None


def test_a_changed_field_leaves_the_others_and_stored_values_go_nowhere_else(at: Program) -> None:
    webhook = made(at, headers={"X-Tenant": "hidden"}, secret="a key of our own, long enough")
    path = f"/webhooks/{webhook['id']}"
    renamed = at.ask("PATCH", path, json={"name": "ERP", "in_order": True}).json
    assert renamed is not None
    assert (renamed["name"], renamed["in_order"], renamed["header_names"]) == (
        "ERP",
        True,
        ["X-Tenant"],
    )
    assert stored_secret(webhook) == "a key of our own, long enough"
    moved = at.ask("PATCH", path, json={"url": "https://thief.example.com/"})
    assert moved.status_code == 422
    stale = {"If-Match": '"1"'}
    assert at.ask("PATCH", path, json={"name": "B"}, headers=stale).status_code == 412
    assert at.done("GET", path)["url"] == URL
    assert at.ask("DELETE", path, headers=stale).status_code == 412
    assert [each["id"] for each in at.items(f"/webhooks?url={quote(URL, safe='')}")] == [
        webhook["id"]
    ]


def test_only_an_administrators_token_sees_a_whole_url(app: Flask, at: Program) -> None:
    webhook = made(at)
    assert at.items("/webhooks")[0]["url"] == URL
    for role in set(Role) - {Role.ADMIN}:
        shown = program(app, role).get(f"/webhooks/{webhook['id']}").get_data(as_text=True)
        assert "hush-hush" not in shown, role


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"url": "ftp://erp"}, "url"),
        ({"events": []}, "events"),
        ({"events": ["asset.melted"]}, "events"),
        ({"secret": "short"}, "secret"),
        ({"format": "telegram"}, "format"),
        ({"headers": {"Host": "x"}}, "headers"),
        ({"conditions": [{"field": "mood", "operator": "is", "values": ["1"]}]}, "conditions"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_cannot_be_a_webhook_is_refused_at_its_field(
    at: Program, values: dict[str, Any], field: str
) -> None:
    answer = at.ask("POST", "/webhooks", json={"url": URL, "events": ["*"]} | values)
    assert answer.status_code == 422
    assert [each["field"] for each in answer.get_json()["errors"]] == [field]
    assert "short" not in answer.get_data(as_text=True)
    assert at.items("/webhooks") == []


def test_one_token_makes_so_many_and_no_more(at: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crud, "MOST_OF_A_TOKEN", 1)
    made(at)
    answer = at.ask("POST", "/webhooks", json={"url": URL, "events": ["*"]})
    assert answer.status_code == 409


def test_what_is_on_hold_is_decided_about_when_a_webhook_is_turned_on(at: Program) -> None:
    for choice, status in (("send", "queued"), ("dismiss", "dismissed")):
        webhook = made(at)
        path = f"/webhooks/{webhook['id']}"
        assert at.done("POST", f"{path}/off")["status"] == "off"
        publish()
        refused = at.ask("POST", f"{path}/on", json={})
        assert refused.status_code == 409
        assert "1 deliveries" not in refused.get_data(as_text=True)
        assert at.done("GET", path)["active"] is False
        assert at.ask("POST", f"{path}/on", json={"on_hold": choice}).status_code == 200
        (delivery,) = at.items(f"/deliveries?webhook_id={webhook['id']}")
        assert delivery["status"] == status
        at.ask("DELETE", path)


def test_a_failed_delivery_is_read_retried_dismissed_and_restored(app: Flask, at: Program) -> None:
    hook = make_webhook()
    failed = make_delivery(hook, status="failed", reason="server", code=500)
    path = f"/deliveries/{failed}"
    for query, found in (
        ("status=failed", 1),
        ("status=delivered", 0),
        (f"webhook_id={hook.public_id}&reason=server", 1),
        ("code_from=500&code_to=599", 1),
        ("code_from=400&code_to=499", 0),
    ):
        assert len(at.items(f"/deliveries?{query}")) == found, query
    dismissed = at.ask("POST", f"{path}/dismiss", json={"reason": "Known"}).json
    assert dismissed is not None
    assert (dismissed["status"], dismissed["dismissed_reason"]) == ("dismissed", "Known")
    assert at.ask("POST", f"{path}/dismiss", json={}).status_code == 409
    assert at.done("POST", f"{path}/restore")["status"] == "failed"
    assert at.ask("POST", f"{path}/restore").status_code == 409
    assert at.done("POST", f"{path}/retry", json={})["status"] == "retrying"
    assert at.ask("POST", f"{path}/retry").status_code == 409, "no body is an empty one"
    nobody = "/deliveries/01940c3e-5a2b-7c11-9d52-0a4f1d8f7f10"
    assert at.get(nobody).status_code == 404
    assert at.ask("POST", f"{nobody}/dismiss", json={}).status_code == 404
    assert program(app, Role.MANAGER).ask("POST", f"{path}/retry", json={}).status_code == 403


def test_who_may_not_see_contents_gets_none_by_the_api_either(app: Flask, at: Program) -> None:
    failed = make_delivery(make_webhook(), status="failed", reason="server", code=500)
    viewer = program(app, Role.VIEWER)
    shown = viewer.get(f"/deliveries/{failed}").json
    assert shown is not None
    for attempt in shown["attempt_log"]:
        assert attempt["request_body"] is None
        assert attempt["response_text"] is None
    assert viewer.get("/deliveries?answer=memory").status_code == 422
    assert at.get("/deliveries?answer=memory").status_code == 200


def test_many_are_counted_then_retried_as_one_piece_of_work(app: Flask, at: Program) -> None:
    hook = make_webhook()
    for _ in range(3):
        make_delivery(hook, status="failed", reason="server", code=500)
    query = f"webhook_id={hook.public_id}&status=failed"
    counted = at.get(f"/retries?{query}").json
    assert counted is not None
    assert (counted["total"], counted["by_webhook"]) == (3, {hook.name: 3})
    since = "2026-01-01T00:00:00Z"
    task = at.made("/retries", webhook_id=str(hook.public_id), status="failed", since=since)
    assert (task["kind"], task["total"]) == ("bulk_retry", 3)
    stopped = at.ask("POST", f"/tasks/{task['id']}/stop")
    assert stopped.get_json()["state"] == "stopped"
    assert program(app, Role.MANAGER).get(f"/tasks/{task['id']}").status_code == 403
    assert at.ask("POST", "/retries", json={"status": "delivered"}).status_code == 409


def test_a_test_is_a_delivery_of_its_own(at: Program) -> None:
    webhook = made(at)
    sent = at.made(f"/webhooks/{webhook['id']}/test", event="asset.lost")
    assert (sent["event"], sent["is_test"]) == ("asset.lost", True)
    assert at.ask("POST", f"/webhooks/{webhook['id']}/test", json={}).status_code == 409
