"""The published schema: it fits each of the 21 messages and no other message."""

import json
import time
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

import pytest
import standardwebhooks
import svix.webhooks
from jsonschema import Draft202012Validator

from portal.engine.events.catalogue import CATALOGUE, EventName, event_type
from portal.engine.events.samples import sample_body, sample_message
from portal.engine.signing.signatures import generate_secret, request_headers
from tests.engine.events.message_schema import closed, closed_for, faults, published, read

FORGED: Final = (
    standardwebhooks.WebhookVerificationError,
    svix.webhooks.WebhookVerificationError,
)
Place = tuple[str | int, ...]
# An asset looks the same in every message. These events cover an item, stock, and a deletion.
WHOLE: Final = {EventName.CREATED, EventName.LOW_STOCK, EventName.DELETED}


def paths(value: Any, here: Place = ()) -> Iterator[Place]:
    """Yield the path of every member and item inside."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for name, part in pairs:
        yield (*here, name)
        if isinstance(part, dict | list):
            yield from paths(part, (*here, name))


def looked_at(event: EventName) -> Iterator[tuple[Place, dict[str, Any], Any, str | int]]:
    """Yield (path, body, parent, name) of every member, each with a fresh body to break."""
    body = sample_message(event)
    for path in paths(body):
        if path[0] == "asset" and event not in WHOLE:
            continue
        broken = deepcopy(body)
        parent: Any = broken
        for name in path[:-1]:
            parent = parent[name]
        yield path, broken, parent, path[-1]


def is_free(path: Place) -> bool:
    """Return True inside data.changes, whose members differ from message to message."""
    return path[:2] == ("data", "changes") and len(path) > 2


def test_the_schema_is_valid_json_schema() -> None:
    Draft202012Validator.check_schema(read())
    assert read()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_each_event_has_its_own_schema_with_its_title() -> None:
    for event in EventName:
        schema = read()
        assert schema["$defs"][event]["title"] == event_type(event).name, event
        link = {"$ref": f"#/$defs/{event}"}
        assert [rule["then"] for rule in schema["allOf"] if rule["then"] == link] == [link], event
        assert len(schema["allOf"]) == len(CATALOGUE), event


def test_the_schema_fits_each_example_and_each_test_message() -> None:
    for event in EventName:
        for body in (sample_message(event), sample_message(event, test=True)):
            assert faults(body) == [], event
            assert published().is_valid(body), event
            assert closed_for(event).is_valid(body), event


def test_a_message_of_another_event_is_invalid() -> None:
    for event in EventName:
        for other in set(EventName) - {event}:
            body = {**sample_message(other), "event": event}
            assert not closed().is_valid(body), other


def test_a_missing_member_is_invalid_in_both_schemas() -> None:
    for event in EventName:
        for path, broken, parent, name in looked_at(event):
            if isinstance(parent, dict) and not (is_free(path) and len(path) == 3):
                del parent[name]
                assert not closed_for(event).is_valid(broken), (event, path)
                assert not published().is_valid(broken), (event, path)


def test_a_mistyped_member_is_invalid_in_both_schemas() -> None:
    for event in EventName:
        for path, broken, parent, name in looked_at(event):
            value = parent[name]
            parent[name] = "x" if isinstance(value, list | dict) else ["x"]
            if not (is_free(path) and len(path) == 4):
                assert not closed_for(event).is_valid(broken), (event, path)
                assert not published().is_valid(broken), (event, path)
            if isinstance(value, bool | int):
                parent[name] = str(value)
                assert not closed_for(event).is_valid(broken), (event, path)


def test_an_added_member_is_invalid_only_in_the_closed_schema() -> None:
    for event in EventName:
        for path, broken, parent, name in looked_at(event):
            if not isinstance(parent[name], dict) or path == ("data", "changes"):
                continue
            parent[name]["later"] = 1
            assert not closed_for(event).is_valid(broken), (event, path)
            assert published().is_valid(broken), (event, path)


def test_a_malformed_value_is_invalid() -> None:
    for event, path, value in (
        (EventName.CREATED, ("timestamp",), "2025-02-04T12:00:00Z"),
        (EventName.CREATED, ("timestamp",), "2025-02-04T12:00:00.123+00:00"),
        (EventName.CREATED, ("asset_id",), None),
        (EventName.CREATED, ("asset", "purchase_cost"), "1249.0"),
        (EventName.CREATED, ("asset", "purchase_date"), "26.02.2024"),
        (EventName.CREATED, ("asset", "currency"), None),
        (EventName.CREATED, ("asset", "version"), 0),
        (EventName.CREATED, ("data", "test"), False),
        (EventName.DELETED, ("asset_id",), 123),
        (EventName.DELETED, ("data", "status_to"), "available"),
        (EventName.LOW_STOCK, ("data", "shortfall"), 0),
    ):
        body = sample_message(event)
        parent: Any = body
        for name in path[:-1]:
            parent = parent[name]
        parent[path[-1]] = value
        assert not published().is_valid(body), event


def test_a_new_enum_value_is_invalid_only_in_the_closed_schema() -> None:
    for event, path in (
        (EventName.CREATED, ("asset", "status")),
        (EventName.CREATED, ("asset", "kind")),
        (EventName.CREATED, ("data", "origin")),
        (EventName.CREATED, ("data", "actor", "type")),
        (EventName.UPDATED, ("data", "reason")),
        (EventName.LIQUIDATED, ("data", "method")),
        (EventName.LOST, ("data", "closed_assignment", "type")),
    ):
        body = sample_message(event)
        parent: Any = body
        for name in path[:-1]:
            parent = parent[name]
        parent[path[-1]] = "new"
        assert published().is_valid(body), event
        assert not closed().is_valid(body), event


def test_an_unknown_event_is_valid_with_the_common_members() -> None:
    body = {**sample_message(EventName.CREATED), "event": "asset.painted"}
    assert published().is_valid(body)
    assert not closed().is_valid(body)
    del body["data"]["actor"]
    assert not published().is_valid(body)


def test_only_stock_has_a_quantity() -> None:
    item, stock = sample_message(EventName.CREATED), sample_message(EventName.LOW_STOCK)
    item["asset"]["quantity"] = 1
    assert not closed().is_valid(item)
    del stock["asset"]["quantity"]
    assert not published().is_valid(stock)


def test_official_libraries_verify_a_message_and_refuse_a_changed_one() -> None:
    for library in (standardwebhooks.Webhook, svix.webhooks.Webhook):
        for event in sorted(WHOLE):
            secret, body = generate_secret(), sample_body(event)
            headers = request_headers(
                event=event,
                timestamp="2025-02-04T12:00:00+00:00",
                message_id="m-1",
                version="0",
                body=body,
                sent_at=int(time.time()),
                secret=secret,
            )
            library(secret).verify(body, headers)
            assert faults(json.loads(body)) == [], (event, library)
            with pytest.raises(FORGED):
                library(secret).verify(body.replace(b"asset", b"asset ", 1), headers)
