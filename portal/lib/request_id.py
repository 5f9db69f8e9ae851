"""The id of what is being done: made with a request, carried to the job that it asks for."""

import secrets
from contextvars import ContextVar
from typing import Final

# Under this name the id travels in a job's `meta`.
META: Final = "request_id"

_current: Final = ContextVar("request_id", default="")


def begin() -> str:
    """Make a new id and do everything from here on under it."""
    made = secrets.token_hex(8)
    _current.set(made)
    return made


def carry_on(request_id: str) -> None:
    """Go on under an id that was made elsewhere; a blank one ends it."""
    _current.set(request_id)


def current() -> str:
    """Return the id that everything is done under; blank outside of requests and what they asked
    for."""
    return _current.get()


def as_meta() -> dict[str, str]:
    """Return the id as the `meta` of a job that is about to be queued."""
    return {META: current()} if current() else {}


def from_meta(meta: dict[str, object]) -> None:
    """Go on under the id that the job brought along, or under none."""
    carry_on(str(meta.get(META, "")))
