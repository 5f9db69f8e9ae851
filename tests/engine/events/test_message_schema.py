"""The schema of the 21 messages: it fits each of them, and no other message."""

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
# An asset is the same in every message: looked at once as an item and once as stock.
WHOLE: Final = {EventName.CREATED, EventName.LOW_STOCK, EventName.DELETED}


def paths(value: Any, here: Place = ()) -> Iterator[Place]:
    """Every member and item inside."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for name, part in pairs:
        yield (*here, name)
        if isinstance(part, dict | list):
            yield from paths(part, (*here, name))


def looked_at(event: EventName) -> Iterator[tuple[Place, dict[str, Any], Any, str | int]]:
    """(path, body, parent, name) of every member, the body each time a new one to be broken."""
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
    """Which fields changed, and from what to what, differs from message to message."""
    return path[:2] == ("data", "changes") and len(path) > 2


def test_it_is_a_schema_by_the_book() -> None:
    Draft202012Validator.check_schema(read())
    assert read()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_each_event_has_a_schema_of_its_own_by_the_name_that_people_know() -> None:
    for event in EventName:
        schema = read()
        assert schema["$defs"][event]["title"] == event_type(event).name, event
        way = {"$ref": f"#/$defs/{event}"}
        assert [each["then"] for each in schema["allOf"] if each["then"] == way] == [way], event
        assert len(schema["allOf"]) == len(CATALOGUE), event


def test_it_fits_the_example_and_the_test() -> None:
    for event in EventName:
        for body in (sample_message(event), sample_message(event, test=True)):
            assert faults(body) == [], event
            assert published().is_valid(body), event
            assert closed_for(event).is_valid(body), event


def test_a_message_of_another_event_falls_through() -> None:
    for event in EventName:
        for other in set(EventName) - {event}:
            body = {**sample_message(other), "event": event}
            assert not closed().is_valid(body), other


def test_a_missing_member_falls_through_both() -> None:
    for event in EventName:
        for path, broken, parent, name in looked_at(event):
            if isinstance(parent, dict) and not (is_free(path) and len(path) == 3):
                del parent[name]
                assert not closed_for(event).is_valid(broken), (event, path)
                assert not published().is_valid(broken), (event, path)


def test_a_mistyped_member_falls_through_both() -> None:
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


def test_an_added_member_falls_through_the_closed_one_alone() -> None:
    for event in EventName:
        for path, broken, parent, name in looked_at(event):
            if not isinstance(parent[name], dict) or path == ("data", "changes"):
                continue
            parent[name]["later"] = 1
            assert not closed_for(event).is_valid(broken), (event, path)
            assert published().is_valid(broken), (event, path)


def test_a_value_of_another_form_falls_through() -> None:
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


def test_a_new_value_may_come_some_day_and_is_not_there_today() -> None:
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


def test_an_event_that_is_added_later_is_taken_with_what_every_message_has() -> None:
    body = {**sample_message(EventName.CREATED), "event": "asset.painted"}
    assert published().is_valid(body)
    assert not closed().is_valid(body)
    del body["data"]["actor"]
    assert not published().is_valid(body)


def test_only_stock_is_counted() -> None:
    item, stock = sample_message(EventName.CREATED), sample_message(EventName.LOW_STOCK)
    item["asset"]["quantity"] = 1
    assert not closed().is_valid(item)
    del stock["asset"]["quantity"]
    assert not published().is_valid(stock)


def test_the_official_libraries_take_what_fits_and_nothing_that_was_changed() -> None:
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
