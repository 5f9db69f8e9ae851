"""The body of every event, byte for byte against a file, a line for each."""

from pathlib import Path

from portal.engine.events.catalogue import EventName
from portal.engine.events.samples import sample_body, sample_message
from tests.support.golden.expected_file import Golden

GOLDEN = Path(__file__).parent / "golden_bodies.jsonl"


def test_the_bytes_are_those_of_the_golden_file(golden: Golden) -> None:
    # A difference here is a change of the wire contract that receivers will feel.
    golden.text(GOLDEN, "".join(f"{sample_body(event).decode()}\n" for event in EventName))


def test_the_id_is_null_only_when_the_asset_is_deleted() -> None:
    for event in EventName:
        body = sample_message(event)
        if event is EventName.DELETED:
            assert body["asset_id"] is None, event
            assert body["data"]["deleted_asset_id"] == body["asset"]["id"], event
        else:
            assert body["asset_id"] == body["asset"]["id"], event


def test_a_sample_agrees_with_itself() -> None:
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
