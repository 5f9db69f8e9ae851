"""Serve an application to a browser, in a thread, on a port of this machine alone."""

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
    """The address at which the application answers while the block runs."""
    server = make_server("127.0.0.1", 0, read_whole(app), threaded=True)
    # How often it looks whether it is to end, in seconds.
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()


def kept(path: str, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Of a module, headers that let the browser keep it: a test opens dozens of pages, and would
    ask about nine files again for each. What browsers are told elsewhere has tests of its own."""
    if not path.endswith(".js"):
        return headers
    others = [each for each in headers if each[0].lower() != "cache-control"]
    return [*others, ("Cache-Control", "max-age=600")]


def read_whole(app: "WSGIApplication") -> "WSGIApplication":
    """Reads and closes each answer before it is sent.

    A browser that goes to the next page hangs up on what it still loads for this one, and
    Werkzeug's server then leaves the file of that answer open.
    """

    def answer(environ, start_response):  # type: ignore[no-untyped-def]  # as WSGI says
        def start(status, headers, *more):  # type: ignore[no-untyped-def]
            return start_response(status, kept(environ["PATH_INFO"], headers), *more)

        with closing(ClosingIterator(app(environ, start))) as parts:
            return [b"".join(parts)]

    return answer
