"""What the tests about bulk retries share."""

import pytest

from portal.services.deliveries import bulk_retry


@pytest.fixture(autouse=True)
def several_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several go first, and not one: what happens then is tested more briefly."""
    monkeypatch.setattr(bulk_retry, "FIRST", 10)
