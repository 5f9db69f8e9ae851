"""Fixtures of the tests of bulk retries."""

import pytest

from portal.services.deliveries import bulk_retry


@pytest.fixture(autouse=True)
def really_first(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let ten deliveries go first, and return the real value of `FIRST`."""
    truth: int = bulk_retry.FIRST
    monkeypatch.setattr(bulk_retry, "FIRST", 10)
    return truth
