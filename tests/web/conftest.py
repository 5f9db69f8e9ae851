"""Fixtures for tests of pages."""

from collections.abc import Iterator

import pytest
from flask import Flask

from tests.support.pages import Pages
from tests.web.signed_in import visit


@pytest.fixture
def in_a_request(app: Flask) -> Iterator[None]:
    """Push a request context, which wording of times and links needs."""
    with app.test_request_context():
        yield


@pytest.fixture
def support(app: Flask) -> Pages:
    """Return pages as a signed-in support user sees them."""
    return visit(app, "support")


@pytest.fixture
def pages(app: Flask) -> Pages:
    """Return pages as a signed-in administrator sees them."""
    return visit(app)
