"""Fixtures for tests of the API."""

import pytest

from portal.api import views
from portal.api.load import Rate


@pytest.fixture(autouse=True)
def _nobody_has_asked_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reset the rate counters, which count requests of earlier tests in the same process."""
    monkeypatch.setattr(views, "_calls", Rate())
    monkeypatch.setattr(views, "_wrong", Rate())
