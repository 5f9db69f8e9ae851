"""Serve health checks, metrics, and security.txt to programs, without a session."""

import hmac
from dataclasses import asdict
from datetime import timedelta
from ipaddress import ip_address
from typing import Final

from flask import Blueprint, Flask, Response, abort, jsonify, request

from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.services.core import heartbeats
from portal.services.operations.health import read_ready
from portal.services.operations.readiness import Need
from portal.web.frame.access import PUBLIC, requires
from portal.web.operations.metrics import exposition

blueprint = Blueprint("operations", __name__)

REFUSED = "Send METRICS_TOKEN as a bearer token. Set it in the portal’s environment.\n"


@blueprint.get("/healthz")
@requires(PUBLIC)
def healthz() -> Response:
    """Respond if this process runs. Checks nothing else."""
    return Response("ok\n", mimetype="text/plain")


@blueprint.get("/readyz")
@requires(PUBLIC)
def readyz() -> tuple[Response, int]:
    """Report whether pages and sending work, or only one of them (`?for=pages`), from memory.

    Only trusted callers see the part that is missing.
    """
    need = request.args.get("for")
    if need is not None and need not in list(Need):
        return jsonify({"ready": False, "for": "unknown"}), 400
    ready = read_ready()
    is_ready = ready.is_ready(Need(need) if need else None)
    answer: dict[str, object] = {"ready": is_ready}
    if is_trusted():
        answer |= asdict(ready)
    return jsonify(answer), 200 if is_ready else 503


@blueprint.get("/metrics")
@requires(PUBLIC)
def metrics() -> Response:
    """Return the metrics for Prometheus, or 403 for untrusted callers."""
    if not is_trusted():
        return Response(REFUSED, 403, mimetype="text/plain")
    return Response(exposition(), content_type="text/plain; version=0.0.4; charset=utf-8")


def is_trusted() -> bool:
    """Return whether the caller can see details: with METRICS_TOKEN, or in a local trial without
    one, from this machine.

    A proxy on this machine forwards requests of any client, and a bare one adds no header that
    tells. So outside a local trial, requests from this machine need a token too.
    """
    token = settings().metrics_token
    if token:
        sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(sent.encode(), token.encode())
    return settings().local_trial and _is_this_machine() and not is_passed_on()


def _is_this_machine() -> bool:
    try:
        address = ip_address(request.remote_addr or "")
    except ValueError:
        return False
    # A dual-stack socket reports IPv4 as mapped IPv6, which Python 3.11 doesn't see as loopback.
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


# The standard header (RFC 7239), and older ones. A single one is enough, because many proxies send
# only X-Forwarded-Proto.
FORWARDED = ("forwarded", "via", "x-forwarded", "x-real-ip", "x-client-ip", "cf-", "true-client-ip")


def init_app(app: Flask) -> None:
    """Detect proxies that are not trusted, so that System can report them."""
    app.before_request(_notice)


def is_passed_on() -> bool:
    """Return whether headers say that a proxy forwarded the request. Clients can forge them."""
    return any(name.lower().startswith(FORWARDED) for name, _ in request.headers)


def _notice() -> None:
    # Kept in memory until the next heartbeat, so that requests can't cause database writes.
    if not settings().trusted_proxies and is_passed_on():
        heartbeats.note(heartbeats.PROXY)


security_txt_blueprint = Blueprint("security_txt", __name__)

PATH: Final = "/.well-known/security.txt"
# RFC 9116, 2.5.5: less than a year. Each response sets a new expiry, so only stored copies expire.
LASTS: Final = timedelta(days=180)


@security_txt_blueprint.get(PATH)
@requires(PUBLIC)
def show() -> Response:
    """Return security.txt with the contact in `SECURITY_CONTACT`, or 404 if none is set."""
    contact = settings().security_contact
    if not contact:
        abort(404)
    ends = (utcnow() + LASTS).replace(hour=0, minute=0, second=0, microsecond=0)
    lines = [
        f"Contact: {contact}",
        f"Expires: {ends:%Y-%m-%dT%H:%M:%SZ}",
        "Preferred-Languages: en",
    ]
    # A Canonical URL has to use https (2.5.2), so a portal without https leaves it out.
    if settings().base_url.startswith("https://"):
        lines.append(f"Canonical: {settings().base_url}{PATH}")
    return Response("".join(f"{line}\n" for line in lines), mimetype="text/plain")
