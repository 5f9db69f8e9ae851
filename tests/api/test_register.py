"""Tests of assets, staff, categories, and locations over the API."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal.extensions import db
from portal.models.deliveries import Event
from portal.models.people import Role
from portal.services.core.unit_of_work import session
from tests.api.client import Program, program
from tests.support.database.statements import asked
from tests.support.factories import make_asset

pytestmark = pytest.mark.both_databases


@pytest.fixture
def at(app: Flask) -> Program:
    return program(app, Role.MANAGER)


def test_an_asset_is_created_read_changed_and_deleted_by_its_id(at: Program) -> None:
    laptops = at.made("/categories", name="Laptops")
    made = at.ask("POST", "/assets", json={"name": " ThinkPad ", "category_id": laptops["id"]})
    assert made.status_code == 201
    path = made.headers["Location"].removeprefix("/api/v1")
    shown = at.get(path)
    assert shown.get_json() == made.json
    assert shown.get_json()["name"] == "ThinkPad"
    assert shown.get_json()["category"] == {"id": laptops["id"], "name": "Laptops"}
    assert shown.headers["ETag"] == '"1"'
    changed = at.ask("PATCH", path, json={"notes": "Docked", "purchase_cost": "1249.00"})
    assert (changed.get_json()["notes"], changed.get_json()["purchase_cost"]) == (
        "Docked",
        "1249.00",
    )
    assert changed.get_json()["name"] == "ThinkPad", "what is not sent stays"
    assert at.ask("DELETE", path).status_code == 204
    gone = at.get(path).json
    assert gone is not None
    assert gone["deleted_at"] is not None
    assert at.items("/assets") == []
    assert at.items("/assets?deleted=true") == [gone]


def test_events_and_timeline_name_the_program_that_made_a_change(app: Flask, at: Program) -> None:
    made = at.made("/assets", name="ThinkPad")
    event = json.loads(session().scalars(select(Event.body)).one())
    me = at.get("/me").json
    assert me is not None
    actor = event["data"]["actor"]
    assert (actor["type"], actor["name"], event["data"]["origin"]) == ("api", me["name"], "api")
    assert isinstance(actor["id"], int)
    (line,) = at.items(f"/assets/{made['id']}/timeline")
    assert (line["action"], line["actor"], line["origin"]) == ("create", me["name"], "api")


def test_a_change_to_an_outdated_version_is_refused(at: Program) -> None:
    for path, first, second in (
        (f"/assets/{at.made('/assets', name='A')['id']}", {"name": "B"}, {"name": "C"}),
        (f"/categories/{at.made('/categories', name='A')['id']}", {"name": "B"}, {"name": "C"}),
        (
            f"/staff/{at.made('/staff', name='A', email='a@example.com')['id']}",
            {"name": "B"},
            {"is_active": False},
        ),
    ):
        tag = at.get(path).headers["ETag"]
        assert at.ask("PATCH", path, json=first, headers={"If-Match": tag}).status_code == 200
        for stale, code in ((tag, 412), ('"x"', 422), ("W/", 422), ("1", 422)):
            response = at.ask("PATCH", path, json=second, headers={"If-Match": stale})
            assert response.status_code == code, (path, stale)
        assert at.done("GET", path)["name"] == "B"
        again = at.get(path).headers["ETag"]
        assert at.ask("PATCH", path, json=second, headers={"If-Match": again}).status_code == 200


def test_all_errors_are_listed_at_once_each_at_its_field(at: Program) -> None:
    wrong = {"name": "", "asset_tag": "a b", "purchase_cost": "-1", "model": "m" * 121}
    response = at.ask("POST", "/assets", json=wrong)
    assert response.status_code == 422
    assert {error["field"] for error in response.get_json()["errors"]} == set(wrong)
    assert at.items("/assets") == []
    response = at.ask("POST", "/staff", json={"name": "", "email": "nobody"})
    assert {error["field"] for error in response.get_json()["errors"]} == {"name", "email"}


def test_a_required_field_cannot_be_cleared(at: Program) -> None:
    for path, made in (
        ("/assets", {"name": "A"}),
        ("/staff", {"name": "A", "email": "a@example.com"}),
        ("/categories", {"name": "A"}),
    ):
        row = at.made(path, **made)
        for field in made:
            response = at.ask("PATCH", f"{path}/{row['id']}", json={field: " "})
            assert response.status_code == 422, (path, field)
            assert [error["field"] for error in response.get_json()["errors"]] == [field]


def test_a_wrong_field_is_named_instead_of_a_server_error(at: Program) -> None:
    wrong: tuple[tuple[dict[str, Any], str, str], ...] = (
        ({"name": "A", "serial": "1"}, "serial", "serial_number"),
        ({"name": 7}, "name", "string"),
        ({"name": "A", "category_id": "1"}, "category_id", "integer"),
        ({"name": "A", "category_id": 2**40}, "category_id", ""),
        ({"name": "A\0"}, "name", "NUL"),
        ({"name": "A", "purchase_date": "tomorrow"}, "purchase_date", "date"),
        ({"name": "A", "quantity": 10**30, "kind": "stock"}, "quantity", ""),
        ({}, "name", "Required"),
    )
    for body, field, words in wrong:
        response = at.ask("POST", "/assets", json=body)
        assert response.status_code == 422, body
        (error,) = response.get_json()["errors"]
        assert error["field"] == field, body
        assert words in error["detail"], body


def test_a_malformed_or_oversized_body_is_refused(at: Program) -> None:
    for sent, kind, code in (
        (b"{", "application/json", 400),
        (b"[" * 5_000, "application/json", 400),
        (b'{"name": "\\ud800"}', "application/json", 400),
        (b"[]", "application/json", 422),
        (b'{"name": "A"}', "text/plain", 415),
        (b'{"name": "' + b"A" * 2**20 + b'"}', "application/json", 413),
        (b'{"name": "A", "purchase_cost": NaN}', "application/json", 400),
    ):
        response = at.ask("POST", "/assets", data=sent, content_type=kind)
        refusal = (response.status_code, response.mimetype)
        assert refusal == (code, "application/problem+json"), sent[:40]


def test_a_wrong_filter_is_refused_and_named(at: Program) -> None:
    at.made("/assets", name="A", serial_number="S-1")
    for query, field in (
        ("serial=S-1", "serial"),
        ("serial_number=", "serial_number"),
        ("asset_tag=%20", "asset_tag"),
        ("q=%E2%80%8B", "q"),  # a zero-width space
        ("after=", "after"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("status=lent", "status"),
        ("category_id=99", "category_id"),
        ("serial_number=S-1&serial_number=S-2", "serial_number"),
    ):
        response = at.get(f"/assets?{query}")
        assert response.status_code == 422, query
        assert [error["field"] for error in response.get_json()["errors"]] == [field], query
    assert at.get("/assets?after=nowhere").status_code == 400
    assert at.get("/assets/99999999999999999999").status_code == 404


def test_records_are_found_by_serial_number_tag_email_and_name(at: Program) -> None:
    for number in (1, 2):
        at.made("/assets", name="A", serial_number=f"S-{number}", asset_tag=f"T/{number}")
        at.made("/staff", name="Ana", email=f"Ana{number}@example.com")
    assert [row["serial_number"] for row in at.items("/assets?serial_number=s-2")] == ["S-2"]
    assert [row["asset_tag"] for row in at.items("/assets?asset_tag=t/1")] == ["T/1"]
    assert [row["email"] for row in at.items("/staff?email=ana1@example.com")] == [
        "Ana1@example.com"
    ]
    at.made("/locations", name="Hamburg")
    assert [row["name"] for row in at.items("/locations?name=HAMBURG")] == ["Hamburg"]


def test_a_list_is_walked_to_its_end_in_few_queries(at: Program) -> None:
    for number in range(5):
        make_asset(name=f"A{number}")
    names, path = [], "/assets?limit=2"
    while path:
        response = at.get(path).json
        assert response is not None
        names += [row["name"] for row in response["items"]]
        path = response["next"] and f"/assets?limit=2&after={response['next']}"
    assert names == ["A4", "A3", "A2", "A1", "A0"]
    with asked(db.engine, "SELECT") as queries:
        at.get("/assets?limit=200")
    assert len(queries) == 3, "the token, the assets, their holders"


def test_an_idempotency_key_creates_one_asset_and_fits_one_request(at: Program) -> None:
    key = {"Idempotency-Key": "import-7"}
    first = at.ask("POST", "/assets", json={"name": "A"}, headers=key)
    at.ask("PATCH", first.headers["Location"].removeprefix("/api/v1"), json={"name": "B"})
    again = at.ask("POST", "/assets", json={"name": "A"}, headers=key)
    assert (again.status_code, again.headers["Location"]) == (201, first.headers["Location"])
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.get_json()["name"] == "B", "as it is now"
    assert "Idempotency-Replayed" not in first.headers
    assert len(at.items("/assets")) == 1
    other = at.ask("POST", "/assets", json={"name": "Other"}, headers=key)
    assert other.status_code == 422
    assert len(at.items("/assets")) == 1
    for bad in ("", "two words", "x" * 256):
        response = at.ask("POST", "/assets", json={"name": "A"}, headers={"Idempotency-Key": bad})
        assert response.status_code == 422, bad


def test_concurrent_requests_with_one_key_create_one_asset(app: Flask, at: Program) -> None:
    def create(number: int) -> int:
        body, key = {"name": f"A{number}"}, {"Idempotency-Key": f"k{number}"}
        return Program(app, at.token).ask("POST", "/assets", json=body, headers=key).status_code

    numbers = [index // 2 for index in range(48)]
    with ThreadPoolExecutor(2) as pool:  # the API serves two at once
        codes = list(pool.map(create, numbers))
    assert set(codes) == {201}
    assert len(at.items("/assets")) == len(set(numbers))


def test_a_refused_request_frees_its_idempotency_key(at: Program) -> None:
    key = {"Idempotency-Key": "k"}
    taken = {"name": "A", "asset_tag": "T-1"}
    number = at.made("/assets", **taken)["id"]
    assert at.ask("POST", "/assets", json=taken, headers=key).status_code == 422
    at.ask("DELETE", f"/assets/{number}")
    assert at.ask("POST", "/assets", json=taken, headers=key).status_code == 201


def test_a_person_is_deactivated_and_reactivated(at: Program) -> None:
    maria = at.made("/staff", name="Maria", email="maria@example.com")
    path = f"/staff/{maria['id']}"
    assert at.done("PATCH", path, json={"is_active": False})["is_active"] is False
    assert at.items("/staff?is_active=true") == []
    assert at.ask("PATCH", path, json={"is_active": True}).status_code == 200
    assert at.items(f"{path}/assets") == []


def test_a_category_in_use_cannot_be_deleted(at: Program) -> None:
    laptops = at.made("/categories", name="Laptops")
    at.made("/assets", name="A", category_id=laptops["id"])
    response = at.ask("DELETE", f"/categories/{laptops['id']}")
    assert response.status_code == 409
    assert "1 asset is still in" in response.get_json()["detail"]
    stale = {"If-Match": '"9"'}
    assert at.ask("DELETE", f"/categories/{laptops['id']}", headers=stale).status_code == 412
