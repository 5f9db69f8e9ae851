"""For machines that watch the portal: alive, ready, metrics. No session, no page."""

import hmac
from dataclasses import asdict
from ipaddress import ip_address

from flask import Blueprint, Response, jsonify, request

from portal.extensions import settings
from portal.services.operations.database.look import read_ready
from portal.services.operations.database.pulse import Need
from portal.web.frame.access import PUBLIC, requires
from portal.web.operations.forwarded_headers import is_passed_on
from portal.web.operations.metrics import exposition

blueprint = Blueprint("operations", __name__)

REFUSED = (
    "Ask with METRICS_TOKEN as a bearer token. It has to be set where the portal is started.\n"
)


@blueprint.get("/healthz")
@requires(PUBLIC)
def healthz() -> Response:
    """This process answers. Asks nobody else."""
    return Response("ok\n", mimetype="text/plain")


@blueprint.get("/readyz")
@requires(PUBLIC)
def readyz() -> tuple[Response, int]:
    """Whether pages can be used and deliveries are sent, or one of them (`?for=pages`); from
    memory. Which part is missing is told to our own people only."""
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
    """Whether details may be told: with the token; in a trial without one, to this machine itself.

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
