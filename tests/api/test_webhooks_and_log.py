"""Tests of webhooks, deliveries, and bulk retries over the API."""

from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from flask import Flask

from portal.models.people import Role
from portal.services.core.unit_of_work import session
from portal.services.webhooks import crud, notes
from portal.services.webhooks.rows import find_webhook, open_secret
from tests.api.client import Program, program
from tests.support.deliveries import make_delivery
from tests.support.factories import make_user, make_webhook, publish

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
    assert [webhook["id"] for webhook in at.items("/webhooks")] == [second["id"]]


def test_a_generated_secret_is_stored_and_returned_only_once(at: Program) -> None:
    key = {"Idempotency-Key": "once"}
    body = {"url": URL, "events": "all", "headers": {"X-Tenant": "hidden"}}
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


def test_a_patch_keeps_other_fields_and_sends_secrets_to_no_other_host(at: Program) -> None:
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
    assert [row["id"] for row in at.items(f"/webhooks?url={quote(URL, safe='')}")] == [
        webhook["id"]
    ]


def test_only_an_administrators_token_sees_a_full_url(app: Flask, at: Program) -> None:
    webhook = made(at)
    assert at.items("/webhooks")[0]["url"] == URL
    for role in set(Role) - {Role.ADMIN}:
        shown = program(app, role).get(f"/webhooks/{webhook['id']}").get_data(as_text=True)
        assert "hush-hush" not in shown, role


def test_a_webhook_has_its_note_with_author_and_time(at: Program) -> None:
    noted, plain, sam = make_webhook(), make_webhook(), make_user("support", name="Sam")
    notes.save(sam.actor, noted.public_id, "Moves on\nFriday", None)
    note = at.ask("GET", f"/webhooks/{noted.public_id}").get_json()["note"]
    stored = notes.note_of(find_webhook(session(), noted.public_id))
    assert stored is not None
    assert note == {
        "text": "Moves on\nFriday",
        "by": "Sam",
        "at": stored.at.replace(microsecond=0).isoformat(),
    }
    assert at.ask("GET", f"/webhooks/{plain.public_id}").get_json()["note"] is None


def test_an_invalid_webhook_is_refused_at_its_field(at: Program) -> None:
    invalid: tuple[tuple[dict[str, Any], str], ...] = (
        ({"url": "ftp://erp"}, "url"),
        ({"events": []}, "events"),
        ({"events": ["asset.melted"]}, "events"),
        ({"secret": "short"}, "secret"),
        ({"format": "telegram"}, "format"),
        ({"headers": {"Host": "x"}}, "headers"),
        ({"conditions": [{"field": "mood", "operator": "is", "values": ["1"]}]}, "conditions"),
        ({"colour": "red"}, "colour"),
    )
    for values, field in invalid:
        response = at.ask("POST", "/webhooks", json={"url": URL, "events": "all"} | values)
        assert response.status_code == 422, values
        assert [error["field"] for error in response.get_json()["errors"]] == [field], values
        assert "short" not in response.get_data(as_text=True), values
    assert at.items("/webhooks") == []


def test_the_number_of_webhooks_per_token_is_limited(
    at: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crud, "MOST_OF_A_TOKEN", 1)
    made(at)
    response = at.ask("POST", "/webhooks", json={"url": URL, "events": "all"})
    assert response.status_code == 409


def test_turning_a_webhook_on_sends_or_dismisses_held_deliveries(at: Program) -> None:
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


def test_a_patch_turns_a_webhook_off_and_on_and_changes_all_or_nothing(at: Program) -> None:
    path = f"/webhooks/{made(at)['id']}"
    assert at.done("PATCH", path, json={"active": False})["status"] == "off"
    publish()
    refused = at.ask("PATCH", path, json={"active": True, "name": "ERP"})
    assert refused.status_code == 409
    assert "on_hold" in refused.get_json()["detail"]
    shown = at.done("GET", path)
    assert (shown["active"], shown["name"] == "ERP") == (False, False), "nothing changed"
    for body in ({"on_hold": "send"}, {"active": False, "on_hold": "send"}):
        refused = at.ask("PATCH", path, json=body)
        assert [error["field"] for error in refused.get_json()["errors"]] == ["on_hold"], body
    stale = {"If-Match": '"9"'}
    assert at.ask("PATCH", path, json={"active": True}, headers=stale).status_code == 412
    on = at.done("PATCH", path, json={"active": True, "name": "ERP", "on_hold": "send"})
    assert (on["active"], on["name"]) == (True, "ERP")
    assert [delivery["status"] for delivery in at.items("/deliveries")] == ["queued"]


def test_a_webhook_of_all_events_stays_one_when_it_is_written_back(at: Program) -> None:
    webhook = made(at, events="all")
    assert webhook["events"] == "all"
    path = f"/webhooks/{webhook['id']}"
    assert at.done("PATCH", path, json={"events": webhook["events"]})["events"] == "all"
    few = at.done("PATCH", path, json={"events": ["asset.lost", "asset.created"]})
    assert few["events"] == ["asset.created", "asset.lost"]
    for mixed in (["all"], ["*"], "*", ["asset.lost", "all"], []):
        refused = at.ask("PATCH", path, json={"events": mixed})
        assert "“all” without a list" in refused.get_json()["errors"][0]["detail"], mixed


def test_an_unknown_event_is_refused_with_likely_ones_wherever_it_is_given(at: Program) -> None:
    name, likely = "asset.assigned", "“asset.allocated” or “asset.checked_out”"
    path = f"/webhooks/{made(at)['id']}"
    for response in (
        at.ask("PATCH", path, json={"events": ["asset.lost", name]}),
        at.ask("POST", f"{path}/test", json={"event": name}),
        at.get(f"/deliveries?event={name}"),
        at.ask("POST", "/retries", json={"event": name}),
        at.get(f"/event-types/{name}/sample"),
    ):
        assert likely in response.get_data(as_text=True), response.request.path


def test_a_failed_delivery_is_read_retried_dismissed_and_restored(app: Flask, at: Program) -> None:
    hook = make_webhook()
    failed = make_delivery(hook, status="failed", reason="server", code=500)
    path = f"/deliveries/{failed}"
    for query, expected in (
        ("status=failed", 1),
        ("status=delivered", 0),
        (f"webhook_id={hook.public_id}&reason=server", 1),
        ("code_from=500&code_to=599", 1),
        ("code_from=400&code_to=499", 0),
    ):
        assert len(at.items(f"/deliveries?{query}")) == expected, query
    dismissed = at.ask("POST", f"{path}/dismiss", json={"reason": "Known"}).json
    assert dismissed is not None
    assert (dismissed["status"], dismissed["dismissed_reason"]) == ("dismissed", "Known")
    assert at.ask("POST", f"{path}/dismiss", json={}).status_code == 409
    assert at.done("POST", f"{path}/restore")["status"] == "failed"
    assert at.ask("POST", f"{path}/restore").status_code == 409
    assert at.done("POST", f"{path}/retry", json={})["status"] == "retrying"
    assert at.ask("POST", f"{path}/retry").status_code == 409, "no body is an empty one"
    unknown = "/deliveries/01940c3e-5a2b-7c11-9d52-0a4f1d8f7f10"
    assert at.get(unknown).status_code == 404
    assert at.ask("POST", f"{unknown}/dismiss", json={}).status_code == 404
    assert program(app, Role.MANAGER).ask("POST", f"{path}/retry", json={}).status_code == 403


def test_contents_are_hidden_from_tokens_without_their_permission(app: Flask, at: Program) -> None:
    failed = make_delivery(make_webhook(), status="failed", reason="server", code=500)
    viewer = program(app, Role.VIEWER)
    shown = viewer.get(f"/deliveries/{failed}").json
    assert shown is not None
    for attempt in shown["attempt_log"]:
        assert attempt["request_body"] is None
        assert attempt["response_text"] is None
    assert viewer.get("/deliveries?answer=memory").status_code == 422
    assert at.get("/deliveries?answer=memory").status_code == 200


def test_a_bulk_retry_is_counted_and_runs_as_one_task(app: Flask, at: Program) -> None:
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
    for blank in ("", " ", "\u200b"):
        assert at.ask("POST", "/retries", json={"q": blank}).status_code == 422, repr(blank)


def test_a_webhook_has_one_test_delivery_at_a_time(at: Program) -> None:
    webhook = made(at)
    sent = at.made(f"/webhooks/{webhook['id']}/test", event="asset.lost")
    assert (sent["event"], sent["is_test"]) == ("asset.lost", True)
    assert at.ask("POST", f"/webhooks/{webhook['id']}/test", json={}).status_code == 409
