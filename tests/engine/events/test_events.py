"""The catalogue of events and the sample message of each."""

from pathlib import Path

import pytest

from portal.engine.events.catalogue import (
    CATALOGUE,
    GROUPS,
    EventGroup,
    EventName,
    event_type,
)
from portal.engine.events.samples import sample_body, sample_message
from tests.support.golden.expected_file import Golden


def test_every_event_is_in_the_catalogue_once_and_in_its_group() -> None:
    assert [event.value for event in CATALOGUE] == list(EventName)
    assert [event for _, events in GROUPS for event in events] == list(CATALOGUE)
    assert [group for group, _ in GROUPS] == list(EventGroup)


def test_every_event_is_explained_in_one_plain_line() -> None:
    for event in CATALOGUE:
        assert event.name[0].isupper()
        assert len(event.name) <= 30
        assert event.explanation.endswith(".")
        assert len(event.explanation) <= 80
        assert len({other.name for other in CATALOGUE}) == len(CATALOGUE)


def test_a_test_message_differs_from_the_example_only_by_its_mark() -> None:
    for event in CATALOGUE:
        example = sample_message(event.value)
        test = sample_message(event.value, test=True, source="elsewhere")
        assert test["data"].pop("test") is True
        assert test.pop("source") == "elsewhere"
        assert example.pop("source") == "perfex_assets_module"
        assert test == example
        assert example["event"] == event.value


def test_an_event_is_found_by_its_name_on_the_wire() -> None:
    assert event_type("asset.lost").name == "Asset lost"


def test_an_unknown_name_is_refused() -> None:
    for value in ("asset.LOST", "", "asset.exploded"):
        with pytest.raises(ValueError, match="EventName"):
            event_type(value)


GOLDEN = Path(__file__).parent / "golden_bodies.jsonl"


def test_sample_bodies_match_the_golden_file(golden: Golden) -> None:
    # A difference here changes the wire contract with receivers.
    golden.text(GOLDEN, "".join(f"{sample_body(event).decode()}\n" for event in EventName))


def test_the_id_is_null_only_when_the_asset_is_deleted() -> None:
    for event in EventName:
        body = sample_message(event)
        if event is EventName.DELETED:
            assert body["asset_id"] is None, event
            assert body["data"]["deleted_asset_id"] == body["asset"]["id"], event
        else:
            assert body["asset_id"] == body["asset"]["id"], event


def test_a_sample_is_consistent() -> None:
    for event in EventName:
        body = sample_message(event)
        asset, data = body["asset"], body["data"]
        assert data["status_to"] == (None if event is EventName.DELETED else asset["status"]), event
        assert (asset["holder"] is not None) is (asset["status"] in {"allocated", "checked_out"}), (
            event
        )
        assert asset["condition"] == data.get("condition_in", asset["condition"]), event
        assert asset["location"] == data.get("return_location", asset["location"]), event
        assert asset["location"] == data.get("to_location", asset["location"]), event
