"""What the tests here share says as much of a failure as they do."""

import pytest

SHARED = ("chunked_upkeep", "chunked_work", "keyset_walk")
pytest.register_assert_rewrite(*(f"{__name__}.{name}" for name in SHARED))
