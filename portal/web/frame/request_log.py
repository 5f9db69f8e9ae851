"""Give each request an id, and write one line about it to the log."""

import logging
from time import monotonic
from typing import Final

from flask import Flask, g, request
from werkzeug.wrappers import Response

from portal.lib import request_id
from portal.logs import TRAFFIC

HEADER: Final = "X-Request-Id"
# Machines request these every few seconds, and every page requests static files.
QUIET: Final = frozenset(
    {"operations.healthz", "operations.readyz", "operations.metrics", "static"}
)
LONGEST_PATH: Final = 300  # characters. None of our own paths is half as long.

log = logging.getLogger(TRAFFIC)


def init_app(app: Flask) -> None:
    """Register the log of requests, before everything else that can log."""
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    g.began = monotonic()
    request_id.begin()


def _end(answer: Response) -> Response:
    answer.headers[HEADER] = request_id.current()
    if request.endpoint not in QUIET and log.isEnabledFor(logging.INFO):
        took = round((monotonic() - g.get("began", monotonic())) * 1000)
        log.info(
            "%s %s %s",
            request.method,
            request.path[:LONGEST_PATH],
            answer.status_code,
            extra={"took_ms": took, "status": answer.status_code, "person": _person()},
        )
    return answer


def _person() -> int | None:
    """Return the signed-in person's id, if the request has already read it."""
    person = g.get("_login_user")
    return getattr(person, "user_id", None)
