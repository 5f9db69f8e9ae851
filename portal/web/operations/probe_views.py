"""For machines that watch the portal: alive, ready, metrics. No session, no page."""

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
    """This process answers. Asks nobody else."""
    return Response("ok\n", mimetype="text/plain")


@blueprint.get("/readyz")
@requires(PUBLIC)
def readyz() -> tuple[Response, int]:
    """Say whether pages can be used and deliveries are sent, or one of them (`?for=pages`), from
    memory. Only our own people are told which part is missing."""
    wanted = request.args.get("for")
    if wanted is not None and wanted not in list(Need):
        return jsonify({"ready": False, "for": "unknown"}), 400
    ready = read_ready()
    is_ready = ready.is_ready(Need(wanted) if wanted else None)
    answer: dict[str, object] = {"ready": is_ready}
    if is_trusted():
        answer |= asdict(ready)
    return jsonify(answer), 200 if is_ready else 503


@blueprint.get("/metrics")
@requires(PUBLIC)
def metrics() -> Response:
    """For Prometheus, with METRICS_TOKEN; in a trial without one, from this machine."""
    if not is_trusted():
        return Response(REFUSED, 403, mimetype="text/plain")
    return Response(exposition(), content_type="text/plain; version=0.0.4; charset=utf-8")


def is_trusted() -> bool:
    """Return whether details may be told: with the token; in a trial without one, to this machine
    itself.

    A proxy on this machine speaks for anybody, and a bare one does not even say so: this machine
    is asked for a token too, where others may reach it.
    """
    token = settings().metrics_token
    if token:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode(), token.encode())
    return settings().local_trial and _is_this_machine() and not is_passed_on()


def _is_this_machine() -> bool:
    try:
        found = ip_address(request.remote_addr or "")
    except ValueError:
        return False
    # A socket for both kinds tells IPv4 addresses as IPv6 ones, which Python 3.11 calls special.
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


# The standard header, and what proxies have written since before it (RFC 7239). Any will do: many
# pass on no more than X-Forwarded-Proto.
FORWARDED = ("forwarded", "via", "x-forwarded", "x-real-ip", "x-client-ip", "cf-", "true-client-ip")


def init_app(app: Flask) -> None:
    """Notice proxies that are not trusted, so that System can name them."""
    app.before_request(_notice)


def is_passed_on() -> bool:
    """Return whether this request says that a proxy passed it on. Anybody may say so."""
    return any(name.lower().startswith(FORWARDED) for name, _ in request.headers)


def _notice() -> None:
    # In memory alone: the heartbeat writes it, so that nobody makes us write by asking.
    if not settings().trusted_proxies and is_passed_on():
        heartbeats.note(heartbeats.PROXY)


security_txt_blueprint = Blueprint("security_txt", __name__)

PATH: Final = "/.well-known/security.txt"
# RFC 9116, 2.5.5: less than a year. Each answer is new, so that it never runs out where it is asked
# for; a copy that somebody kept does.
LASTS: Final = timedelta(days=180)


@security_txt_blueprint.get(PATH)
@requires(PUBLIC)
def show() -> Response:
    """The contact that `SECURITY_CONTACT` names; 404 where nobody set one."""
    contact = settings().security_contact
    if not contact:
        abort(404)
    ends = (utcnow() + LASTS).replace(hour=0, minute=0, second=0, microsecond=0)
    lines = [
        f"Contact: {contact}",
        f"Expires: {ends:%Y-%m-%dT%H:%M:%SZ}",
        "Preferred-Languages: en",
    ]
    # An address on the web has to be https there (2.5.2); another one says nothing about itself.
    if settings().base_url.startswith("https://"):
        lines.append(f"Canonical: {settings().base_url}{PATH}")
    return Response("".join(f"{line}\n" for line in lines), mimetype="text/plain")
