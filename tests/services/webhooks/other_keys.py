"""Restart the portal with other encryption keys."""

import base64
from dataclasses import replace

import pytest
from flask import Flask

from portal.extensions import settings

NEW_KEY = base64.urlsafe_b64encode(b"another key of thirty-two bytes!").decode()


class Keys:
    """The installation's encryption keys. `old` holds the original ones."""

    def __init__(self, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
        self._app, self._patch, self.old = app, monkeypatch, settings().encryption_keys

    def become(self, *keys: str) -> None:
        """Start the portal with these keys."""
        changed = replace(settings(), encryption_keys=keys)
        self._patch.setitem(self._app.extensions, "settings", changed)
