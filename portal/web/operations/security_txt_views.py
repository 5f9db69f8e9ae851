"""`/.well-known/security.txt` (RFC 9116): whom to tell about a weakness."""

from datetime import timedelta
from typing import Final

from flask import Blueprint, Response, abort

from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.web.frame.access import PUBLIC, requires

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
