"""What tests of the API stand on."""

import pytest

from portal.api import views
from portal.api.load import Rate


@pytest.fixture(autouse=True)
def _nobody_has_asked_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """How often earlier tests have asked, in the same process, counts for nothing."""
    monkeypatch.setattr(views, "_calls", Rate())
    monkeypatch.setattr(views, "_wrong", Rate())
