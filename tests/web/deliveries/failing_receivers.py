"""Misbehaving receivers for every failure reason, and deliveries sent to them."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import trustme
from sqlalchemy import update

from jobs.deliver import deliver_due
from portal.engine.reasons import Reason
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.webhooks import Webhook
from portal.services.core import vault
from portal.services.core.unit_of_work import writing
from portal.services.operations import retention
from tests.engine.http.real_receivers import hostile
from tests.engine.http.real_receivers.hostile import HostileServer, Script
from tests.jobs.dispatcher.delivery_clock import crash_after_claim, make_due
from tests.support.deliveries import change, make_delivery
from tests.support.factories import Hook, make_webhook
from tests.support.netns import apart
from tests.support.receiver import Answer, Received, Receiver

Made = dict[Reason, UUID]  # the delivery that ended with each reason

ANSWERS: Final[dict[Reason, Answer]] = {
    Reason.REDIRECT: Answer(302, headers=[("Location", "https://new.example.com/hook")]),
    Reason.BAD_REQUEST: Answer(422, b'{"error": "asset.serial_number is missing"}'),
    Reason.AUTH: Answer(401, b'{"error": "signature does not match"}'),
    Reason.FORBIDDEN: Answer(403),
    Reason.NOT_FOUND: Answer(404, b"<h1>Not Found</h1>"),
    Reason.METHOD: Answer(405),
    Reason.GONE: Answer(410),
    Reason.CONFLICT: Answer(409),
    Reason.TOO_LARGE: Answer(413),
    Reason.RATE: Answer(429, headers=[("Retry-After", "120")]),
    Reason.OTHER_4XX: Answer(418),
    Reason.SERVER: Answer(500, b"Traceback (most recent call last): ..."),
    Reason.UNAVAILABLE: Answer(503),
}
SCRIPTS: Final[dict[Reason, Script]] = {
    Reason.READ_TIMEOUT: hostile.hanging,
    Reason.RESET: hostile.resetting,
    Reason.NO_REPLY: hostile.hanging_up,
    Reason.BAD_REPLY: hostile.answering(b"220 mail.example.com ESMTP ready\r\n"),
}
LONG_AGO: Final = timedelta(days=31)
# Sent from a namespace with no name server and no route, so that nothing leaves this machine.
OUTSIDE: Final = {Reason.DNS: "http://erp.example.com/", Reason.UNREACHABLE: "http://93.184.215.14"}


@contextmanager
def misbehaving(trusted: trustme.CA) -> Iterator[dict[Reason, str]]:
    """Yield a URL for each failure reason."""
    with ExitStack() as running:
        plain = running.enter_context(Receiver(answerer=_answer))
        urls = {reason: f"{plain.url}{reason}" for reason in ANSWERS}
        for reason, script in SCRIPTS.items():
            urls[reason] = running.enter_context(HostileServer(script)).url
        for reason, certificate in _certificates(trusted).items():
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            urls[reason] = running.enter_context(Receiver(tls=context)).url
        urls[Reason.TLS_OTHER] = plain.url.replace("http:", "https:")
        urls[Reason.BLOCKED] = "http://[::1]:9/"  # loopback, but not in the allowed network
        urls[Reason.CONNECT_TIMEOUT] = running.enter_context(_full())
        urls[Reason.REFUSED] = running.enter_context(_closed())
        yield urls


def deliveries_to(urls: dict[Reason, str]) -> Made:
    """Make one delivery to each URL, each for its own webhook."""
    return {reason: make_delivery(_hook(reason, url)) for reason, url in urls.items()}


def unsendable() -> Made:
    """Make deliveries whose webhook has a reserved header, or a secret that can't sign."""
    headers = _hook(Reason.BAD_HEADERS, "http://127.0.0.1:9/", [("Host", "elsewhere.example.com")])
    unsigned = _hook(Reason.INTERNAL, "http://127.0.0.1:9/")
    with writing() as current:
        sealed = vault.seal_secret(unsigned.id, "whsec_no base64")
        current.execute(update(Webhook).filter_by(id=unsigned.id).values(secret_enc=sealed))
    return {
        Reason.BAD_HEADERS: make_delivery(headers),
        Reason.INTERNAL: make_delivery(unsigned),
    }


def outside() -> Made:
    """Send from a second dispatcher in a namespace that has only `lo`, so no packet can leave."""
    made = deliveries_to(OUTSIDE)
    db.session.remove()
    db.engine.dispose()
    assert apart(deliver_due) == ""
    rest(made)
    return made


def rest(made: Made) -> None:
    """Move due times two hours ahead, so that no retry happens during the test."""
    for delivery in made.values():
        change(delivery, due_at=utcnow() + timedelta(hours=2))


def interrupted() -> Made:
    """Kill a worker after it claims a delivery, and let the lease expire."""
    made = make_delivery(_hook(Reason.INTERRUPTED, "http://127.0.0.1:9/"))
    crash_after_claim()
    make_due()
    return {Reason.INTERRUPTED: made}


def held_too_long() -> Made:
    """Hold a delivery at an off webhook until its retention ends."""
    hook = _hook(Reason.WEBHOOK_OFF, "https://erp.example.com/", state="off")
    made = make_delivery(hook, status="on_hold", created_at=utcnow() - LONG_AGO)
    retention.prune()
    return {Reason.WEBHOOK_OFF: made}


def _hook(
    reason: Reason, url: str, headers: list[tuple[str, str]] | None = None, **columns: str
) -> Hook:
    return make_webhook(url, name=f"Fails by {reason}", headers=headers or [], **columns)


def _answer(received: Received) -> Answer | None:
    return ANSWERS.get(Reason(received.path.removeprefix("/")))


def _certificates(trusted: trustme.CA) -> dict[Reason, trustme.LeafCert]:
    now, day = datetime.now(UTC), timedelta(days=1)
    expired = trusted.issue_cert("127.0.0.1", not_before=now - 9 * day, not_after=now - day)
    return {
        Reason.TLS_EXPIRED: expired,
        Reason.TLS_UNTRUSTED: trustme.CA().issue_cert("127.0.0.1"),
        Reason.TLS_NAME: trusted.issue_cert("other.example.com"),
    }


@contextmanager
def _full() -> Iterator[str]:
    """Yield the URL of a listener whose backlog is full."""
    with ExitStack() as held, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


@contextmanager
def _closed() -> Iterator[str]:
    """Yield the URL of a port that is bound but not listening, so that nothing else can take it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/"


def trust(trusted: trustme.CA, folder: Path) -> str:
    """Write this authority's certificate to a file for `WEBHOOK_CA_BUNDLE`. Return its path."""
    bundle = folder / "authority.pem"
    trusted.cert_pem.write_to_path(bundle)
    return str(bundle)
