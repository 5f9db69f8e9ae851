"""What the tests about bulk retries share."""

import pytest

from portal.services.deliveries import bulk_retry


@pytest.fixture(autouse=True)
def really_first(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let several go first, for what happens then; returns how many do so in truth."""
    truth: int = bulk_retry.FIRST
    monkeypatch.setattr(bulk_retry, "FIRST", 10)
    return truth
