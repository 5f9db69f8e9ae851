"""A web server for each file of tests."""

from collections.abc import Iterator

import pytest

from tests.support.web_server import WebServer, web_server


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    """A web server that a file's tests share, and leave well."""
    with web_server(tmp_path_factory.mktemp("web")) as server:
        yield server
