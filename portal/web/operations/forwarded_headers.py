"""What proxies write into the requests that they pass on, and whether anybody asked them to."""

from flask import Flask, request

from portal.extensions import settings
from portal.services.core import heartbeats

# The standard header, and what proxies have written since before it (RFC 7239). Any will do: many
# pass on no more than X-Forwarded-Proto.
FORWARDED = ("forwarded", "via", "x-forwarded", "x-real-ip", "x-client-ip", "cf-", "true-client-ip")


def init_app(app: Flask) -> None:
    """Notice proxies that are not trusted, so that System can name them."""
    app.before_request(_notice)


def is_passed_on() -> bool:
    """Whether this request says that a proxy passed it on. Anybody may say so."""
    return any(name.lower().startswith(FORWARDED) for name, _ in request.headers)


def _notice() -> None:
    # In memory alone: the heartbeat writes it, so that nobody makes us write by asking.
    if not settings().trusted_proxies and is_passed_on():
        heartbeats.note(heartbeats.PROXY)
