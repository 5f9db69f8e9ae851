"""What tests of pages stand on."""

from collections.abc import Iterator

import pytest
from flask import Flask

from tests.support.pages import Pages
from tests.web.signed_in import visit


@pytest.fixture
def in_a_request(app: Flask) -> Iterator[None]:
    """A request for a page: times are told in somebody's zone, and links can be made."""
    with app.test_request_context():
        yield


@pytest.fixture
def support(app: Flask) -> Pages:
    """Support staff, signed in."""
    return visit(app, "support")


@pytest.fixture
def pages(app: Flask) -> Pages:
    """An administrator, signed in."""
    return visit(app)
