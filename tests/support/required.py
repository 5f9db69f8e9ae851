"""Optional tools: without one, a test is skipped locally and fails in CI."""

import os

import pytest


def needs(is_there: object, what: str) -> None:
    """Skip the test if `is_there` is false, or fail it in CI, which installs `what`."""
    if is_there:
        return
    if os.environ.get("CI"):
        pytest.fail(f"CI installs {what}, and it is missing", False)
    pytest.skip(f"{what} is not installed here")
