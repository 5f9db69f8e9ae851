"""Rewrite asserts of the shared helpers, so that their failures show as much as the tests' own."""

import pytest

SHARED = ("chunked_upkeep", "chunked_work", "keyset_walk")
pytest.register_assert_rewrite(*(f"{__name__}.{name}" for name in SHARED))
