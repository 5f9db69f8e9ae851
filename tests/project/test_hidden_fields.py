"""Tests that the repr of a dataclass omits fields that can hold secrets."""

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Final

import jobs
import portal

HIDDEN: Final = {
    "Draft.values",
    "Kept.text",
    "Letter.text",
    "Letter.unsubscribe",
    "Message.next_secret",
    "Message.others",
    "Message.secret",
    "Message.sent",
    "NewPerson.password",
    "Settings.encryption_keys",
    "Settings.metrics_token",
    "Settings.secret_key",
    "Settings.smtp_url",
    "ShownSecret.secret",
    "WebhookValues.headers",
    "WebhookValues.secret",
    "WebhookValues.url",
}


def classes() -> Iterator[type]:
    """Yield every class of our packages."""
    for top in (portal, jobs):
        for found in pkgutil.walk_packages(top.__path__, f"{top.__name__}."):
            if not found.name.endswith("__main__"):
                module = importlib.import_module(found.name)
                members = inspect.getmembers(module, inspect.isclass)
                yield from (kind for _, kind in members if kind.__module__ == found.name)


def hidden_fields() -> Iterator[str]:
    """Yield the fields that the repr of a dataclass omits."""
    for kind in filter(dataclasses.is_dataclass, classes()):
        hidden = (field for field in dataclasses.fields(kind) if not field.repr)
        yield from (f"{kind.__name__}.{field.name}" for field in hidden)


def test_exactly_these_fields_are_hidden() -> None:
    assert set(hidden_fields()) == HIDDEN
