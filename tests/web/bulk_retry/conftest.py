"""Reuse the fixture of the bulk retry service's tests."""

from tests.services.bulk_retry.conftest import really_first

__all__ = ["really_first"]
