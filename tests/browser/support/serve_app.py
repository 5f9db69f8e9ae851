"""Serve an app to a browser, in a thread, on a loopback port."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.serving import make_server
from werkzeug.wsgi import ClosingIterator

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """Serve the app while the block runs, and yield its URL."""
    server = make_server("127.0.0.1", 0, read_whole(app), threaded=True)
    # The argument is the poll interval for the shutdown, in seconds.
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()


def kept(path: str, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Let the browser cache a script module.

    A test opens dozens of pages, and would request about nine modules again for each. Other tests
    check the portal's own headers.
    """
    if not path.endswith(".js"):
        return headers
    others = [header for header in headers if header[0].lower() != "cache-control"]
    return [*others, ("Cache-Control", "max-age=600")]


def read_whole(app: "WSGIApplication") -> "WSGIApplication":
    """Read and close each response before it is sent.

    A browser that leaves a page aborts its open requests, and Werkzeug's server then leaves the
    file of such a response open.
    """

    def answer(environ, start_response):  # type: ignore[no-untyped-def]  # as WSGI says
        def start(status, headers, *more):  # type: ignore[no-untyped-def]
            return start_response(status, kept(environ["PATH_INFO"], headers), *more)

        with closing(ClosingIterator(app(environ, start))) as parts:
            return [b"".join(parts)]

    return answer
