"""As of the tests about the service."""

from tests.services.bulk_retry.conftest import really_first

__all__ = ["really_first"]
