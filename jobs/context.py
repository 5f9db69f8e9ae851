"""The application that jobs run in: light, without pages, built once a process at first use."""

import functools
import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from flask import Flask, has_app_context
from rq import get_current_job

from portal import queue
from portal.base import create_base_app
from portal.lib import request_id
from portal.logs import TRAFFIC

log = logging.getLogger(TRAFFIC)

P = ParamSpec("P")
T = TypeVar("T")


@functools.cache
def application() -> Flask:
    """This process's application, with its bell."""
    app = create_base_app()
    queue.init_app(app)
    return app


def job(function: Callable[P, T]) -> Callable[P, T]:
    """Run `function` in an application context; its session ends with it.

    Called where a context is already open (a command, a test), it uses that one. What a job
    raises is RQ's to record and log.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        if has_app_context():
            return function(*args, **kwargs)
        with application().app_context():
            _carry_on(function.__name__)
            return function(*args, **kwargs)

    return run


def _carry_on(name: str) -> None:
    """Work under the id of the request that rang, until the next job: RQ logs what fails later."""
    current = get_current_job()
    request_id.from_meta(current.meta if current else {})
    if request_id.current():
        log.info("Started %s", name)
