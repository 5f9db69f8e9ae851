"""The pages of a webhook whose secrets can't be decrypted."""

import pytest
from flask import Flask

from portal.services.core import vault
from portal.services.core.permissions import SYSTEM
from portal.services.webhooks import keys
from tests.services.webhooks.other_keys import NEW_KEY, Keys
from tests.support.factories import Hook, make_webhook
from tests.web.signed_in import visit

LIST = "/settings/webhooks"
CLOSED = "We can’t decrypt the stored secret key and custom headers."


@pytest.fixture
def hook(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Hook:
    """Make a webhook whose encryption keys are lost."""
    vault.check_keys()
    made = make_webhook(name="Sync", secret="the secret of it", headers=[("X-Key", "theirs")])
    Keys(app, monkeypatch).become(NEW_KEY)
    keys.forget(SYSTEM)
    return made


def test_the_pages_name_lost_secrets_and_the_form_replaces_them(app: Flask, hook: Hook) -> None:
    ada, path = visit(app), f"/settings/webhooks/{hook.public_id}"
    page = ada.get(path)
    assert CLOSED in page.main
    assert "Its secrets can’t be decrypted" in page.main
    assert "Edit the webhook and enter new ones" in page.main
    listed = ada.get("/settings/webhooks").main
    assert "Turned off automatically: its secrets can’t be decrypted" in listed
    assert "off because their encryption keys are lost: “Sync”" in (
        ada.get("/settings/system").main
    )
    assert "Ask an administrator" in visit(app, "support").get(path).main
    refused = ada.submit(ada.get(path).form(f"{path}/test"))
    assert "We can’t decrypt the stored" in refused.text
    refused = ada.submit(ada.get(f"{path}/on").form(f"{path}/on"))
    assert (refused.status, "We can’t decrypt" in refused.main) == (400, True)

    form = ada.get(f"{path}/edit").form(f"{path}/edit")
    assert "Empty fields keep the stored ones" in ada.get(f"{path}/edit").main
    kept = ada.submit(form, "Save webhook", name="Sync 2")
    assert CLOSED in kept.main
    form = ada.get(f"{path}/edit").form(f"{path}/edit")
    headers = {"headers-0-name": "X-Key", "headers-0-value": "a new one"}
    asked = ada.submit(form, "Save webhook", secret_mode="none", active="yes", **headers)
    saved = ada.submit(asked.form(f"{path}/edit"))
    assert saved.path == path
    assert "can’t be decrypted" not in saved.main
    assert "X-Key" in saved.main


def test_lost_secrets_can_be_erased_after_a_question(app: Flask, hook: Hook) -> None:
    ada, path = visit(app), f"/settings/webhooks/{hook.public_id}"
    other = f"/settings/webhooks/{make_webhook().public_id}"
    assert "We’ll erase this webhook’s stored values." in ada.get(f"{other}/secret/erase").main
    ada.get(path)
    asked = ada.follow("Erase unreadable secrets")
    assert "We’ll erase this webhook’s stored secret key and custom headers." in asked.main
    erased = ada.submit(asked.form(f"{path}/secret/erase"))
    assert erased.path == path
    assert "Erased the" in erased.text
    assert CLOSED not in erased.main
    on = ada.submit(ada.get(f"{path}/on").form(f"{path}/on"))
    assert "Sync turned on." in on.text
    assert visit(app, "support").get(f"{path}/secret/erase").status == 403


def test_readable_secrets_are_not_erased(app: Flask) -> None:
    pages, hook = visit(app), make_webhook(secret="the secret of it")
    pages.get(f"{LIST}/{hook.public_id}")
    page = pages.post(f"{LIST}/{hook.public_id}/secret/erase")
    assert "There’s nothing to erase." in page.text
    assert "Erased the" not in page.text
