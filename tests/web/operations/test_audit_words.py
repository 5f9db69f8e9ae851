"""Wording of entries of the audit trail."""

from datetime import UTC, datetime
from typing import Any

from flask import Flask

from portal.services.audit import TrailEntry
from portal.web.deliveries.filter_wording import Names
from portal.web.operations.audit_wording import TrailLine, line_of, plain_value
from tests.web.operations.test_audit import AUDIT, note
from tests.web.signed_in import visit

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def line(app: Flask, action: str, *, name: str = "Seven", **values: Any) -> TrailLine:
    entry = TrailEntry(
        id=1,
        at=AT,
        by=values.pop("by", "Ana"),
        origin=values.pop("origin", "ui"),
        action=action,
        kind=action.partition(".")[0],
        target_id="7",
        target_name=name,
        changes=values,
    )
    with app.test_request_context("/settings/audit", base_url="http://localhost/portal"):
        return line_of(entry, Names())


def test_an_entry_links_to_its_target_if_that_has_a_page(app: Flask) -> None:
    for kind, path in (
        ("asset", "/portal/assets/7"),
        ("batch", "/portal/batches/7"),
        ("delivery", "/portal/deliveries/7"),
        ("draft", ""),
        ("person", "/portal/settings/people/7"),
        ("staff", "/portal/staff/7"),
        ("webhook", "/portal/settings/webhooks/7"),
        ("alert_settings", ""),
    ):
        made = line(app, f"{kind}.changed")
        assert (made.thing, made.path) == ("Seven", path), kind
        assert line(app, f"{kind}.deleted").path == "", kind


def test_each_action_has_a_name_even_one_of_a_later_version(app: Flask) -> None:
    for action, words in (
        ("person.invited", "User: invited"),
        ("webhook.deliveries_restored", "Delivery: restored"),
        ("alert_settings.updated", "Alert: settings changed"),
        ("alert_settings.of_a_later_version", "Alert settings: of a later version"),
    ):
        assert line(app, action).what == words, action


def test_an_entry_names_the_origin_of_its_action(app: Flask) -> None:
    for origin, way in (
        ("ui", ""),
        ("bulk", "in bulk"),
        ("import", "by an import"),
        ("command", "by a command"),
        ("api", "by the API"),
        ("cron", "automatically"),
        ("of a later version", "of a later version"),
    ):
        assert line(app, "asset.changed", origin=origin).way == way, origin


def test_a_nameless_target_has_its_kind_and_a_delivery_its_event(app: Flask) -> None:
    assert line(app, "batch.started", name="").thing == "Batch"
    alert = line(app, "alert.acknowledged", name="alert.low_stock AST-1")
    assert alert.thing == "Low stock AST-1"
    assert line(app, "delivery.retried", name="asset.created").thing == "Asset created"
    assert line(app, "delivery.retried", name="asset.melted").thing == "asset.melted"
    assert line(app, "asset.changed", name="asset.created").thing == "asset.created"


def test_both_values_of_a_change_are_shown_in_words(app: Flask) -> None:
    for action, name, change, detail in (
        ("webhook.changed", "in_order", {"from": False, "to": True}, ("No", "Yes")),
        ("person.changed", "role_name", {"from": None, "to": "Manager"}, ("", "Manager")),
        ("draft.changed", "url", {"from": "a", "to": "b"}, ("a", "b")),
        ("webhook.changed", "events", {"from": ["a"], "to": ["a"]}, ("a", "a")),
        ("draft.changed", "url_is_secret", "yes", ("", "yes")),
        ("webhook.changed", "events", {"from": [], "to": ["a", "b"]}, ("", "a, b")),
        ("delivery.stopped", "status", {"from": "retrying", "to": "x"}, ("Retrying", "x")),
    ):
        ((label, *sides),) = line(app, action, **{name: change}).details
        assert tuple(sides[:2]) == detail, action
        labels = {
            "in_order": "In order",
            "role_name": "Role name",
            "url": "URL",
            "url_is_secret": "Hide this URL",
            "events": "Events",
            "status": "Status",
        }
        assert label == labels[name], action


def test_a_change_in_the_hidden_part_of_a_url_is_mentioned(app: Flask) -> None:
    same = {"from": "https://a.example/••••", "to": "https://a.example/••••"}
    ((_, before, after, _),) = line(app, "webhook.changed", url=same).details
    assert (before, after.startswith("https://a.example/•••• (")) == ("", True)


def test_a_filter_of_a_later_version_is_shown_as_stored(app: Flask) -> None:
    ((label, _, after, _),) = line(
        app, "dismissal.started", filter={"from": None, "to": {"status": "of a later version"}}
    ).details
    assert (label, "of a later version" in after) == ("Filter", True)


def test_a_long_value_is_cut_after_200_characters() -> None:
    assert plain_value("x" * 200) == "x" * 200
    assert plain_value("x" * 201) == "x" * 200 + "…"
    assert plain_value({"name": "Ana", "id": 3}) == "Ana"


def test_the_file_does_not_escape_letters(app: Flask) -> None:
    note("location.created", "Cellar", title={"from": None, "to": "Küche"})
    answer = visit(app).client.get(f"{AUDIT}/export.csv", buffered=True)
    assert '""to"": ""Küche""' in answer.get_data(as_text=True)
