"""A web server for each test file."""

from collections.abc import Iterator

import pytest

from tests.support.web_server import WebServer, web_server


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    """Share a web server between a file's tests, which leave it healthy."""
    with web_server(tmp_path_factory.mktemp("web")) as server:
        yield server
