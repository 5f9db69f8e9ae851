"""The JSON body of an event."""

import json
import uuid
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.engine.events import details as event_details
from portal.engine.events.body import (
    Actor,
    ActorKind,
    AssetSnapshot,
    Origin,
    Ref,
    as_json_object,
    build_body,
    changes,
    encode,
    event_data,
    wire_time,
)
from portal.engine.events.catalogue import EventName
from portal.engine.events.details import UpdateReason

NOON = datetime(2025, 2, 4, 12, 0, tzinfo=UTC)
ANA = Actor(ActorKind.USER, 2, "Ana Novak")
ASSET = AssetSnapshot(
    id=7,
    asset_tag="AST-00007",
    name="Drill",
    kind="item",
    status="available",
    condition="good",
    version=1,
    created_at=NOON,
    updated_at=NOON,
)


def body(**more: Any) -> bytes:
    arguments: dict[str, Any] = {
        "event": EventName.CREATED,
        "occurred_at": NOON,
        "source": "perfex_assets_module",
        "asset_id": 7,
        "asset": ASSET,
        "data": event_data(ANA, Origin.UI),
    }
    return build_body(**{**arguments, **more})


def test_the_body_is_one_line_of_plain_ascii() -> None:
    sent = body(asset=replace(ASSET, name="Bohrhammer größer als 4 € 🔧"))
    assert sent.isascii()
    assert b"\n" not in sent
    assert b'"event":"asset.created","timestamp":"2025-02-04T12:00:00+00:00"' in sent
    assert json.loads(sent)["asset"]["name"] == "Bohrhammer größer als 4 € 🔧"


def test_times_are_whole_seconds_in_utc() -> None:
    for moment in (
        NOON,
        NOON + timedelta(microseconds=999_999),
        datetime(2025, 2, 4, 14, 0, tzinfo=timezone(timedelta(hours=2))),
        datetime(2025, 2, 3, 23, 30, tzinfo=timezone(timedelta(hours=-12, minutes=-30))),
    ):
        # Equal moments share a cache entry, and this test needs each one formatted.
        wire_time.cache_clear()
        assert wire_time(moment) == "2025-02-04T12:00:00+00:00", moment
        wire_time.cache_clear()
        assert json.loads(body(occurred_at=moment))["timestamp"] == "2025-02-04T12:00:00+00:00", (
            moment
        )


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        body(occurred_at=datetime(2025, 2, 4))  # noqa: DTZ001  # the point of the test


def test_every_kind_of_value_has_one_form() -> None:
    for value, written in (
        (Decimal("1249"), '"1249.00"'),
        (Decimal("1E+3"), '"1000.00"'),
        (Decimal("0"), '"0.00"'),
        (date(2025, 2, 4), '"2025-02-04"'),
        (Origin.CRON, '"cron"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        ((1, [True, None]), "[1,[true,null]]"),
        ({"a": Ref(1, "x")}, '{"a":{"id":1,"name":"x"}}'),
        ("a/b\x00", '"a/b\\u0000"'),
        ("half \ud83d alone", '"half \\ufffd alone"'),
        ("\ud83d\ude00", '"\\ud83d\\ude00"'),
    ):
        assert encode(value) == written.encode(), value


def test_numbers_that_json_lacks_are_refused() -> None:
    for value in (float("nan"), float("inf"), Decimal("NaN"), Decimal("inf")):
        with pytest.raises(ValueError, match=r"JSON|number"):
            encode({"x": value})


def test_values_without_a_json_form_are_refused() -> None:
    for value in (object(), {1, 2}, b"bytes", {1: "key"}, Ref):
        with pytest.raises(TypeError, match="body"):
            encode(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)


@given(JSON)
def test_any_json_value_survives_encoding(value: object) -> None:
    assert json.loads(encode(value)) == value


def test_only_stock_carries_quantities() -> None:
    stock = replace(ASSET, kind="stock", quantity=0, min_quantity=None, unit="box")
    assert as_json_object(stock)["quantity"] == 0
    assert as_json_object(stock)["min_quantity"] is None
    assert not {"quantity", "min_quantity", "unit"} & as_json_object(ASSET).keys()


def test_data_begins_with_the_common_fields() -> None:
    batch = uuid.UUID(int=5)
    data = event_data(ANA, Origin.BULK, batch_id=batch, status_to="lost", reason="x")
    assert data == {
        "actor": {"type": "user", "id": 2, "name": "Ana Novak"},
        "origin": "bulk",
        "batch_id": str(batch),
        "status_from": None,
        "status_to": "lost",
        "note": "",
        "reason": "x",
    }
    assert list(data)[:6] == ["actor", "origin", "batch_id", "status_from", "status_to", "note"]


def test_changes_list_differing_fields_without_bookkeeping() -> None:
    kept = dict.fromkeys(("created_at", "updated_at", "deleted_at"), NOON)
    before = {"name": "A", "cost": Decimal("5.0"), "on": None, "id": 1, "version": 1, **kept}
    after = {"name": "B", "cost": Decimal("5.00"), "on": date(2025, 2, 4), "version": 2}
    fields, changed = changes(before, after)
    assert fields == ["name", "on"]
    assert changed == {
        "name": {"from": "A", "to": "B"},
        "on": {"from": None, "to": "2025-02-04"},
    }


def test_a_field_missing_on_one_side_counts_as_null() -> None:
    assert changes({"gone": 1}, {"new": 2})[1] == {
        "new": {"from": None, "to": 2},
        "gone": {"from": 1, "to": None},
    }


def test_a_body_needs_an_asset_id_unless_the_asset_is_deleted() -> None:
    for event in EventName:
        deleted = event is EventName.DELETED
        with pytest.raises(ValueError, match="id"):
            body(event=event, asset_id=7 if deleted else None, data={"deleted_asset_id": 7})


def test_a_deletion_names_the_id_in_its_data() -> None:
    with pytest.raises(ValueError, match="deleted asset"):
        body(event=EventName.DELETED, asset_id=None)
    gone = event_details.deleted(ASSET, "Sold")
    data = event_data(ANA, Origin.UI, status_from="available", **gone)
    sent = json.loads(body(event=EventName.DELETED, asset_id=None, data=data))
    assert sent["asset_id"] is None
    assert sent["data"]["deleted_asset_id"] == 7
    assert sent["asset"]["id"] == 7


def test_new_stock_carries_its_initial_quantity() -> None:
    stock = replace(ASSET, kind="stock", quantity=3)
    assert event_details.created(stock) == {"initial_quantity": 3}
    assert event_details.created(ASSET) == {}


def test_an_update_has_a_reason_and_its_changes() -> None:
    details = event_details.updated(
        UpdateReason.MAINTENANCE_STARTED, {"a": 1}, {"a": 2}, maintenance=Ref(7, "Check")
    )
    assert list(details) == ["reason", "changed_fields", "changes", "maintenance"]
    assert event_data(ANA, Origin.UI, **details)["reason"] == "maintenance_started"
