"""What is secret, or may hold something secret, is left out when an object is written down."""

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
    """Every class of ours."""
    for top in (portal, jobs):
        for found in pkgutil.walk_packages(top.__path__, f"{top.__name__}."):
            if not found.name.endswith("__main__"):
                module = importlib.import_module(found.name)
                known = inspect.getmembers(module, inspect.isclass)
                yield from (each for _, each in known if each.__module__ == found.name)


def hidden_fields() -> Iterator[str]:
    """Of every dataclass of ours."""
    for kind in filter(dataclasses.is_dataclass, classes()):
        hidden = (each for each in dataclasses.fields(kind) if not each.repr)
        yield from (f"{kind.__name__}.{each.name}" for each in hidden)


def test_these_and_no_others_are_left_out() -> None:
    assert set(hidden_fields()) == HIDDEN
