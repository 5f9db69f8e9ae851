"""Tests of a client that openapi-python-client generates from the running portal."""

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest
from flask import Flask

from portal.api import OPERATIONS
from portal.api.operations import Operation
from portal.api.spec import tag_of
from portal.extensions import db, settings
from tests.api.client import program
from tests.support.factories import make_webhook, publish
from tests.support.web_server import web_server

NAME: Final = "generated_register_client"
_UPPER: Final = re.compile(r"(?=[A-Z])")


class Generated:
    """The generated package, with a client that has a token. `warnings`: of the generator."""

    def __init__(self, origin: str, token: str, folder: Path) -> None:
        config = folder / "generator.json"
        config.write_text('{"post_hooks": []}')
        words = ["generate", "--url", f"{origin}/api/v1/openapi.json", "--config", config]
        words += ["--meta", "none", "--output-path", folder / NAME]
        run = subprocess.run(
            [sys.executable, "-m", "openapi_python_client", *words],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert run.returncode == 0, run.stdout + run.stderr
        self.warnings = [line for line in run.stdout.splitlines() if "WARNING" in line]
        self.models = import_module(f"{NAME}.models")
        self.client = import_module(NAME).AuthenticatedClient(f"{origin}/api/v1", token)

    def ask(self, operation: str, *path: object, status: int = 200, **values: Any) -> Any:
        """Call an operation by its name, assert its status, and return the parsed answer."""
        each = next(each for each in OPERATIONS if each.name == operation)
        module = import_module(f"{NAME}.api.{_snake(tag_of(each))}.{_snake(each.name)}")
        response = module.sync_detailed(*path, client=self.client, **values)
        assert response.status_code == status, f"{operation}: {response.content.decode()}"
        return response.parsed


def _snake(name: str) -> str:
    return _UPPER.sub("_", name).replace(" ", "_").lower().replace("__", "_").strip("_")


@pytest.fixture
def generated(app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Generated]:
    token = program(app).token
    publish()
    make_webhook()
    db.session.remove()
    monkeypatch.syspath_prepend(tmp_path)
    with web_server(tmp_path, DATABASE_URL=settings().database_url) as server:
        made = Generated(f"http://127.0.0.1:{server.port}", token, tmp_path)
        yield made
        made.client.get_httpx_client().close()
    for name in [each for each in sys.modules if each.split(".")[0] == NAME]:
        del sys.modules[name]


def reads(operation: Operation) -> bool:
    return operation.method == "GET" and "<" not in operation.path


def test_a_generated_client_reads_every_list_and_changes_assets_and_webhooks(
    generated: Generated,
) -> None:
    assert generated.warnings == []
    for each in filter(reads, OPERATIONS):
        answer = generated.ask(each.name)
        assert type(answer).__name__ != "Problem", each.name

    models = generated.models
    laptops = generated.ask("createCategory", body=models.NameBody(name="Laptops"), status=201)
    asset = generated.ask(
        "createAsset",
        body=models.AssetBody(name="ThinkPad", category_id=laptops.id, purchase_cost="1249.00"),
        status=201,
    )
    assert (asset.category.name, asset.purchase_cost) == ("Laptops", "1249.00")
    change = models.AssetPatch(notes="Docked", category_id=None)
    changed = generated.ask("updateAsset", asset.id, body=change, if_match=f'"{asset.version}"')
    assert (changed.name, changed.notes, changed.category) == ("ThinkPad", "Docked", None)
    stale = models.AssetPatch(name="B")
    generated.ask("updateAsset", asset.id, body=stale, if_match='"1"', status=412)
    found = generated.ask("listAssets", q="thinkpad", limit=1)
    assert [each.id for each in found.items] == [asset.id]
    generated.ask("deleteAsset", asset.id, status=204)

    url = "https://erp.example.com/hooks"
    for events in ("all", [models.EventName("asset.lost")]):
        body = models.WebhookBody(url=url, events=events)
        webhook = generated.ask("createWebhook", body=body, status=201)
        assert webhook.secret.startswith("whsec_")
        shown = generated.ask("showWebhook", webhook.id)
        back = models.WebhookPatch(events=shown.events, conditions=shown.conditions, active=False)
        kept = generated.ask("updateWebhook", webhook.id, body=back)
        assert (kept.events, kept.active) == (events, False)
        generated.ask("deleteWebhook", webhook.id, status=204)
