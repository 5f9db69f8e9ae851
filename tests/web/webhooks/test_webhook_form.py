"""Creating and editing webhooks through the pages."""

from dataclasses import replace
from ipaddress import ip_network
from typing import Final

import pytest
from flask import Flask

from portal.engine.events.catalogue import CATALOGUE
from portal.extensions import settings
from portal.models.webhooks import Webhook
from portal.services.core import vault
from portal.services.core.unit_of_work import session
from portal.services.webhooks import queries as webhook_queries
from tests.support.factories import make_webhook
from tests.support.pages import Page, Pages
from tests.web.signed_in import visit

NEW = "/settings/webhooks/new"
URL = "https://erp.example.com/hook"
MODES = ["generate", "own", "keep"]  # for a webhook without a key, which “keep” leaves unsigned


def the_webhook() -> Webhook:
    current = session()
    current.rollback()
    return current.query(Webhook).one()


def add(pages: Pages, button: str = "Save webhook", **values: object) -> Page:
    """Fill in the form and submit it."""
    filled = {"name": "Sync to ERP", "url": URL, "events": ["asset.created"], **values}
    return pages.submit(pages.get(NEW).form(NEW), button, **filled)


def test_saving_a_webhook_shows_its_new_secret_once(pages: Pages) -> None:
    page = add(pages, events=["asset.created", "alert.low_stock"])
    webhook = the_webhook()
    secret = vault.open_secret(webhook.id, webhook.secret_enc or b"")
    assert page.path == f"/settings/webhooks/{webhook.public_id}/secret"
    assert secret in page.html
    page = pages.submit(page.form(page.path), "Done")
    assert page.h1 == "Sync to ERP"
    assert f"2 of {len(CATALOGUE)}" in page.main
    assert secret not in page.html
    assert secret[-4:] in page.main
    assert secret not in pages.get(f"{page.path}/secret").html


def test_pages_link_to_a_new_secret_until_done_is_pressed(pages: Pages) -> None:
    secret = add(pages)
    webhook = f"/settings/webhooks/{the_webhook().public_id}"
    assert webhook in secret.links("View webhook")
    assert "by email" in secret.main
    for path in (webhook, f"{webhook}/receiver"):
        assert pages.get(path).links("Show secret key") == [secret.path]
    pages.submit(secret.form(secret.path), "Done")
    for path in (webhook, f"{webhook}/receiver"):
        assert pages.get(path).links("Show secret key") == []


def secret_shown(page: Page) -> list[str]:
    """Return the keys that the page shows for copying."""
    return [node.text for node in page.root.find_all("pre")]


def test_all_events_is_a_separate_choice_from_selected_events(pages: Pages) -> None:
    page = add(pages, which_events="all", events=[], secret_mode="none")
    assert [subscription.event for subscription in the_webhook().subscriptions] == ["*"]
    assert "Events All events" in page.main
    assert "Gets all events" in pages.get("/settings/webhooks").rows()[0][2]
    path = f"{page.path}/edit"
    form = pages.get(path).form(path)
    assert form.fields["which_events"] == ["all"]
    # All are checked, so that a user can remove some.
    assert len(form.fields["events"]) == len(CATALOGUE)
    page = pages.submit(form, which_events="chosen", events=["asset.lost", "asset.broken"])
    assert sorted(subscription.event for subscription in the_webhook().subscriptions) == [
        "asset.broken",
        "asset.lost",
    ]
    assert "Events: All events → Asset lost, Asset broken" in pages.get(f"{page.path}/history").main
    assert add(pages, which_events="chosen", events=[], name="Two").wrong == ["events"]


def test_only_its_maker_sees_a_new_secret(app: Flask, pages: Pages) -> None:
    page, other = add(pages), visit(app)
    assert len(secret_shown(page)) == 1
    path = page.path
    assert secret_shown(other.get(path)) == []


def test_saving_an_empty_form_marks_the_required_fields(pages: Pages) -> None:
    page = pages.submit(pages.get(NEW).form(NEW), secret_mode="own")
    assert page.status == 400
    assert page.wrong == ["name", "url", "events", "secret"]


MISTAKES: Final[tuple[tuple[dict[str, object], str], ...]] = (
    ({"url": "ftp://erp.example.com/"}, "url"),
    ({"url": "http://10.1.2.3/hook"}, "url"),
    ({"url": "http://0x0a010203/hook"}, "url"),
    ({"url": "http://localhost:9/hook"}, "url"),
    ({"events": ["asset.exploded"]}, "events"),
    ({"secret_mode": "own"}, "secret"),
    ({"secret_mode": "own", "secret": "short"}, "secret"),
    ({"secret_mode": "own", "secret": "a" * 24}, "secret"),
    ({"headers-0-name": "Host", "headers-0-value": "x"}, "headers-0-name"),
    ({"headers-0-name": "X-Key", "headers-0-value": ""}, "headers-0-value"),
    ({"name": "x" * 121}, "name"),
)


def test_each_error_is_shown_at_its_field(pages: Pages) -> None:
    for values, field in MISTAKES:
        page = add(pages, **values)
        assert (page.status, page.wrong) == (400, [field]), values


def test_an_allowed_private_address_is_accepted(pages: Pages) -> None:
    assert add(pages, url="http://127.0.0.1:8099/hook").status == 200


def test_closed_ports_and_networks_are_refused_in_the_form(
    app: Flask, pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied = (ip_network("8.8.8.0/24"),)
    restricted = replace(
        settings(), webhook_denied_networks=denied, webhook_allowed_ports=(443, 8443)
    )
    monkeypatch.setitem(app.extensions, "settings", restricted)
    (closed_port,) = add(pages, url="https://erp.example.com:22/hook").errors
    assert "443 or 8443" in closed_port
    (denied_one,) = add(pages, url="https://8.8.8.8/hook").errors
    assert "WEBHOOK_DENIED_NETWORKS" in denied_one
    assert add(pages, url="https://erp.example.com:8443/hook").status == 200


def test_invisible_characters_are_not_saved(pages: Pages) -> None:
    add(pages, name="\ufeffSync to ERP\u202c", url=f"{URL}\u200b")
    webhook = the_webhook()
    assert (webhook.name, webhook.url) == ("Sync to ERP", URL)
    assert add(pages, name="\u200b \u2060").wrong == ["name"]


def test_a_refused_key_is_not_offered_again(pages: Pages) -> None:
    page = add(pages, secret_mode="own", secret="short")
    assert "Leave empty to keep it" not in page.main
    assert (
        "Leave empty to keep it"
        in add(pages, name="", secret_mode="own", secret="what nobody else has typed").main
    )


def test_input_is_kept_after_an_error_without_showing_secrets(pages: Pages) -> None:
    secrets = {"secret": "my own and very long secret", "headers-0-value": "Bearer abcdefghijkl"}
    page = add(
        pages,
        name="",
        secret_mode="own",
        active="no",
        **{"headers-0-name": "Authorization", **secrets},
    )
    assert page.status == 400
    assert not [value for value in secrets.values() if value in page.html]
    assert "•••• cret" in page.main
    assert "•••• ijkl" in page.main
    form = page.form(NEW)
    assert form.fields["url"] == [URL]
    assert form.fields["events"] == ["asset.created"]
    page = pages.submit(form, name="Sync")
    webhook = the_webhook()
    assert vault.open_secret(webhook.id, webhook.secret_enc or b"") == secrets["secret"]
    stored = webhook_queries.stored_values(webhook.public_id).headers
    assert stored == (("Authorization", secrets["headers-0-value"]),)
    assert webhook.state == "off"


def test_values_kept_in_a_form_open_only_for_their_owner(app: Flask, pages: Pages) -> None:
    wrong = {"name": "", "url": URL, "events": ["asset.created"]}
    typed = {"headers-0-name": "X-Key", "headers-0-value": "Bearer abcdefghijkl"}
    (kept,) = add(pages, **wrong, **typed).form(NEW).fields["headers-0-kept"]
    taken = {"headers-0-name": "X-Key", "headers-0-kept": kept, "headers-0-value": ""}
    page = add(visit(app), **wrong, **taken)
    assert kept
    assert "ijkl" not in page.html
    assert "ijkl" in add(pages, **wrong, **taken).main


def test_header_rows_are_added_and_removed_without_scripts(pages: Pages) -> None:
    page = pages.submit(pages.get(NEW).form(NEW), "Add header", name="Sync")
    page = pages.submit(
        page.form(NEW), "Add header", **{"headers-0-name": "X-Gone", "headers-0-value": "secret"}
    )
    assert page.status == 200
    page = pages.submit(
        page.form(NEW),
        "Remove row 1",
        **{"headers-1-name": "X-B", "headers-1-value": "secret b"},
    )
    assert "X-Gone" not in page.html
    add_values = {"url": URL, "events": ["asset.created"], "secret_mode": "none"}
    pages.submit(page.form(NEW), "Save webhook", **add_values)
    assert webhook_queries.stored_values(the_webhook().public_id).headers == (("X-B", "secret b"),)


@pytest.mark.parametrize(("row", "removed"), [("\u00b2", "0"), ("9" * 5000, "9" * 5000)])
def test_malformed_row_numbers_are_ignored(pages: Pages, row: str, removed: str) -> None:
    form = pages.get(NEW).form(NEW)
    page = pages.submit(form, **{f"headers-{row}-name": "X-Gone", "remove_headers": removed})
    assert page.status == 200
    assert "X-Gone" not in page.html


def test_keeping_the_key_is_offered_only_if_there_is_one(pages: Pages) -> None:
    keyed, unsigned = (make_webhook(secret=secret) for secret in ("a key of ours", None))
    for hook, offered in ((keyed, ["keep", "generate", "own", "none"]), (unsigned, MODES)):
        path = f"/settings/webhooks/{hook.public_id}/edit"
        form = pages.get(path).form(path)
        radios = [node for node in form.node.find_all("input") if node.get("name") == "secret_mode"]
        assert [node.get("value") for node in radios] == offered
        pages.submit(form, name=f"New name of {hook.id}")
        current = session()
        current.rollback()
        assert (current.get_one(Webhook, hook.id).secret_enc is None) == (hook is unsigned)
    assert "Keep it" not in pages.get(path).main


def test_editing_keeps_an_untouched_secret_and_header_values(pages: Pages) -> None:
    hook = make_webhook(secret="the old secret", headers=[("X-Key", "value of the key")])
    path = f"/settings/webhooks/{hook.public_id}/edit"
    page = pages.get(path)
    assert "value of the key" not in page.html
    page = pages.submit(page.form(path), name="Renamed", **{"headers-0-name": "X-Other"})
    assert page.h1 == "Renamed"
    webhook = the_webhook()
    assert vault.open_secret(webhook.id, webhook.secret_enc or b"") == "the old secret"
    assert webhook_queries.stored_values(hook.public_id).headers == (
        ("X-Other", "value of the key"),
    )


def test_a_script_keeps_a_header_by_its_name_alone(pages: Pages) -> None:
    hook = make_webhook(headers=[("X-Key", "value of the key")])
    path = f"/settings/webhooks/{hook.public_id}/edit"
    pages.submit(pages.get(path).form(path), **{"headers-0-kept": "", "headers-0-name": "x-key"})
    assert webhook_queries.stored_values(hook.public_id).headers == (("x-key", "value of the key"),)


def test_a_header_with_an_emptied_name_is_refused_not_dropped(pages: Pages) -> None:
    hook = make_webhook(headers=[("X-Key", "value of the key")])
    path = f"/settings/webhooks/{hook.public_id}/edit"
    page = pages.submit(pages.get(path).form(path), **{"headers-0-name": ""})
    assert (page.status, len(page.errors)) == (400, 1)
    assert webhook_queries.stored_values(hook.public_id).headers == (("X-Key", "value of the key"),)


def test_replacing_the_secret_asks_first(pages: Pages) -> None:
    hook = make_webhook(secret="the old secret", headers=[("X-Key", "value of the key")])
    path = f"/settings/webhooks/{hook.public_id}/edit"
    own = {"secret_mode": "own", "secret": "the new secret of theirs"}
    page = pages.submit(pages.get(path).form(path), name="Renamed", **own)
    assert page.h1 == "Replace the secret key?"
    assert "the new secret of theirs" not in page.html
    webhook = the_webhook()
    assert vault.open_secret(webhook.id, webhook.secret_enc or b"") == "the old secret"
    page = pages.submit(page.form(path))
    assert page.h1 == "Renamed"
    webhook = the_webhook()
    assert vault.open_secret(webhook.id, webhook.secret_enc or b"") == "the new secret of theirs"
    assert webhook_queries.stored_values(hook.public_id).headers == (("X-Key", "value of the key"),)


@pytest.mark.parametrize("ticked", [("url_is_secret",), ("in_order",), ()])
def test_the_key_question_keeps_all_input(pages: Pages, ticked: tuple[str, ...]) -> None:
    hook = make_webhook(URL, secret="the old secret", url_is_secret=not ticked)
    path = f"/settings/webhooks/{hook.public_id}/edit"
    ticks = {each: "y" if each in ticked else None for each in ("url_is_secret", "in_order")}
    page = pages.submit(
        pages.get(path).form(path),
        name="Renamed",
        events=["asset.lost", "asset.created"],
        active="no",
        secret_mode="generate",
        **ticks,
    )
    assert page.h1 == "Replace the secret key?"
    page = pages.submit(page.form(path))
    assert page.path == f"/settings/webhooks/{hook.public_id}/secret"
    webhook = the_webhook()
    assert (webhook.name, webhook.url, webhook.state) == ("Renamed", URL, "off")
    assert sorted(each.event for each in webhook.subscriptions) == ["asset.created", "asset.lost"]
    stored = {each for each in ("url_is_secret", "in_order") if getattr(webhook, each)}
    assert stored == set(ticked)


def test_a_stale_edit_shows_both_versions_and_loses_nothing(app: Flask, pages: Pages) -> None:
    hook = make_webhook(name="Sync", headers=[("X-Key", "value of the key")])
    path = f"/settings/webhooks/{hook.public_id}/edit"
    mine = pages.get(path).form(path)
    other_pages = visit(app, name="Ana")
    other_pages.submit(other_pages.get(path).form(path), name="Sync to ERP", active="no")
    mine_now = {"name": "Sync with the ERP", "events": ["asset.created", "asset.lost"]}
    page = pages.submit(mine, **mine_now)
    assert (page.status, page.form(path).fields["version"]) == (409, ["2"])
    assert "Ana changed" in page.main
    assert page.rows() == [
        ["Webhook name", "Sync to ERP", "Sync with the ERP"],
        ["Events", "Asset created", "Asset created, Asset lost"],
        ["Status", "Off", "On"],
    ]
    edited = pages.submit(page.form(path), "Keep editing my version")
    assert (edited.path, the_webhook().version) == (path, 2)
    page = pages.submit(page.form(path), "Save my version")
    assert page.h1 == "Sync with the ERP"
    assert webhook_queries.stored_values(hook.public_id).headers == (("X-Key", "value of the key"),)


def test_saving_without_a_change_says_so(pages: Pages) -> None:
    hook = make_webhook(secret="the old secret", headers=[("X-Key", "value of the key")])
    path = f"/settings/webhooks/{hook.public_id}/edit"
    assert pages.submit(pages.get(path).form(path)).tone == "info"
    assert the_webhook().version == 1
    page = pages.submit(pages.get(path).form(path), name="Another", version=None)
    assert (page.status, the_webhook().version) == (409, 1)


def test_the_history_shows_changes_but_no_secret(pages: Pages) -> None:
    hook = make_webhook(secret="the old secret", headers=[("X-Key", "value of the key")])
    path = f"/settings/webhooks/{hook.public_id}/edit"
    changed = {"headers-0-value": "another value", "events": ["asset.lost"]}
    pages.submit(pages.get(path).form(path), url="https://receiver.example.com/new", **changed)
    page = pages.get(f"/settings/webhooks/{hook.public_id}/history")
    assert "URL: https://receiver.example.com/hook → https://receiver.example.com/new" in page.main
    assert "another value" not in page.html


def test_a_new_key_with_a_new_url_takes_effect_at_once(pages: Pages) -> None:
    hook = make_webhook(secret="the old secret")
    path = f"/settings/webhooks/{hook.public_id}/edit"
    typed = {"url": "https://elsewhere.example.com/hook", "secret": "the new secret of theirs"}
    page = pages.submit(pages.get(path).form(path), secret_mode="own", **typed)
    assert "with the new secret key only" in page.main
    assert "nothing breaks" not in page.main
    pages.submit(page.form(path))
    assert the_webhook().old_secret_enc is None


def test_a_replaced_secret_overlaps_until_a_person_switches(pages: Pages) -> None:
    hook = make_webhook(secret="the old secret")
    path = f"/settings/webhooks/{hook.public_id}"
    form = pages.get(f"{path}/edit").form(f"{path}/edit")
    page = pages.submit(form, secret_mode="own", secret="the new secret of theirs")
    assert "so nothing breaks" in page.main
    page = pages.submit(page.form(f"{path}/edit"))
    assert "The secret key was replaced" in page.main
    webhook = the_webhook()
    assert vault.open_secret(webhook.id, webhook.old_secret_enc or b"") == "the old secret"
    assert vault.open_secret(webhook.id, webhook.secret_enc or b"") == "the new secret of theirs"
    page = pages.submit(page.form(f"{path}/secret/switch"))
    assert "Switched to the new secret key." in page.text
    assert the_webhook().old_secret_enc is None
    assert "The secret key was replaced" not in page.main
