"""The application that jobs run in: light, without pages, built once a process at first use."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from flask import Flask, has_app_context

from portal import queue
from portal.base import create_base_app

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
            return function(*args, **kwargs)

    return run
