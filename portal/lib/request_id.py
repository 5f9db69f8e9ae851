"""The request ID, which a request creates and passes to the jobs that it queues."""

import secrets
from contextvars import ContextVar
from typing import Final

# The key of the ID in a job's `meta`.
META: Final = "request_id"

_current: Final = ContextVar("request_id", default="")


def begin() -> str:
    """Create a new ID and make it the current one."""
    new_id = secrets.token_hex(8)
    _current.set(new_id)
    return new_id


def carry_on(request_id: str) -> None:
    """Make an existing ID the current one. A blank ID ends the current one."""
    _current.set(request_id)


def current() -> str:
    """Return the current ID, blank outside of requests and their jobs."""
    return _current.get()


def as_meta() -> dict[str, str]:
    """Return the current ID as the `meta` of a new job."""
    return {META: current()} if current() else {}


def from_meta(meta: dict[str, object]) -> None:
    """Make the ID in a job's `meta` the current one, or none."""
    carry_on(str(meta.get(META, "")))
