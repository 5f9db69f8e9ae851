"""The application for jobs, without pages, built once per process at first use."""

import functools
import logging
from collections.abc import Callable
from typing import ParamSpec

from flask import Flask, has_app_context
from rq import get_current_job
from sqlalchemy.exc import OperationalError

from jobs.progress import progress
from portal.base_app import create_base_app
from portal.database.engine import is_away
from portal.lib import request_id
from portal.logs import TRAFFIC
from portal.queue import notifier

log = logging.getLogger(__name__)
traffic = logging.getLogger(TRAFFIC)

P = ParamSpec("P")


@functools.cache
def application() -> Flask:
    """Return this process's application, with its notifier."""
    app = create_base_app()
    notifier.init_app(app)
    return app


def job(function: Callable[P, None]) -> Callable[P, None]:
    """Run `function` in an application context and end the session afterwards.

    An open context (of a command or a test) is reused. A busy or unavailable database is no
    failure, because every job comes again and monitoring shows missing work. RQ records and logs
    all other exceptions.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        if has_app_context():
            _try(function, *args, **kwargs)
            return
        progress.begin()
        try:
            with application().app_context():
                _carry_on(function.__name__)
                _try(function, *args, **kwargs)
        finally:
            progress.end()

    return run


def _try(function: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
    try:
        function(*args, **kwargs)
    except OperationalError as error:
        if not is_away(error):
            raise
        name = function.__name__
        log.warning(
            "The database does not answer. The next %s does this one's work: %s", name, error
        )


def _carry_on(name: str) -> None:
    """Adopt the id of the request that queued the job. It stays until the next job, because RQ logs
    failures later."""
    current = get_current_job()
    request_id.from_meta(current.meta if current else {})
    if request_id.current():
        traffic.info("Started %s", name)
