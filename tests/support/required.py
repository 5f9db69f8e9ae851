"""What a machine may lack: without it a test is skipped by hand and fails in CI."""

import os

import pytest


def needs(is_there: object, what: str) -> None:
    """Skip the test where `what` is missing; where CI is set, which installs it, fail."""
    if is_there:
        return
    if os.environ.get("CI"):
        pytest.fail(f"CI installs {what}, and it is missing", False)
    pytest.skip(f"{what} is not installed here")
