"""TLS: certificates are always verified, and each refusal has its own reason."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import certifi
import pytest
import trustme

from portal.engine.http.transport import BareProbes, Transport
from portal.engine.reasons import Reason
from portal.lib.clock import utcnow
from tests.engine.http.real_receivers import hostile
from tests.engine.http.real_receivers.hostile import HostileServer
from tests.engine.http.real_receivers.send import open_guard, send
from tests.support.receiver import Receiver

TRUSTED = trustme.CA()
UNKNOWN = trustme.CA()
DAY = timedelta(days=1)

Served = Callable[[], trustme.LeafCert]


@pytest.fixture
def transport(tmp_path: Path) -> Transport:
    """Return a transport that trusts one authority besides the public ones."""
    bundle = tmp_path / "authority.pem"
    TRUSTED.cert_pem.write_to_path(bundle)
    return Transport(open_guard(), ca_bundle=str(bundle))


def serving(certificate: trustme.LeafCert) -> Receiver:
    """Return a receiver that shows this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return Receiver(tls=context)


def test_a_trusted_certificate_succeeds_and_its_expiry_is_known(transport: Transport) -> None:
    tomorrow = (utcnow() + DAY).replace(microsecond=0)
    certificate = TRUSTED.issue_cert("127.0.0.1", not_after=tomorrow)
    with serving(certificate) as receiver:
        first, second = send(transport, receiver.url), send(transport, receiver.url)
    for exchange in (first, second):
        assert exchange.reason is None, exchange.detail
        assert exchange.certificate_ends_at == tomorrow
    assert second.reused_connection
    assert first.phases.connect is not None
    assert first.phases.tls is not None
    assert first.phases.tls > first.phases.connect
    transport.close()


def test_a_certificate_without_an_end_has_a_date_that_every_zone_can_show(
    transport: Transport,
) -> None:
    """RFC 5280, 4.1.2.5, says 9999-12-31 for such a certificate."""
    never = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    with serving(TRUSTED.issue_cert("127.0.0.1", not_after=never)) as receiver:
        exchange = send(transport, receiver.url)
    assert exchange.reason is None, exchange.detail
    assert exchange.certificate_ends_at is not None
    for zone in ("Pacific/Kiritimati", "Etc/GMT+12"):
        assert exchange.certificate_ends_at.astimezone(ZoneInfo(zone)).year > 2199
    transport.close()


def lasting(begins: timedelta, ends: timedelta) -> trustme.LeafCert:
    """Return a certificate that is valid between two offsets from now."""
    now = utcnow()
    return TRUSTED.issue_cert("127.0.0.1", not_before=now + begins, not_after=now + ends)


def self_signed() -> trustme.LeafCert:
    """Return a certificate of an unknown authority that isn't sent along."""
    return UNKNOWN.issue_cert("127.0.0.1")


REFUSED: dict[str, tuple[Served, Reason]] = {
    "unknown authority": (self_signed, Reason.TLS_UNTRUSTED),
    "expired": (lambda: lasting(-9 * DAY, -DAY), Reason.TLS_EXPIRED),
    "not yet valid": (lambda: lasting(DAY, 9 * DAY), Reason.TLS_EXPIRED),
    "another address": (lambda: TRUSTED.issue_cert("127.0.0.9"), Reason.TLS_NAME),
    "another name": (lambda: TRUSTED.issue_cert("other.example"), Reason.TLS_NAME),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_invalid_certificate_is_refused_with_its_reason(transport: Transport, case: str) -> None:
    certificate, reason = REFUSED[case]
    with serving(certificate()) as receiver:
        exchange = send(transport, receiver.url)
    transport.close()
    assert exchange.reason is reason, exchange.detail
    assert receiver.received == []


@pytest.mark.parametrize(
    ("served", "reason"),
    [("other.example", Reason.TLS_NAME), ("localhost", None)],
)
def test_the_certificate_must_match_the_name_in_the_url(
    transport: Transport, served: str, reason: Reason | None
) -> None:
    with serving(TRUSTED.issue_cert(served)) as receiver:
        exchange = send(transport, f"https://localhost:{receiver.port}/")
    transport.close()
    assert exchange.reason is reason, exchange.detail


def test_a_bare_probe_trusts_a_custom_authority_only_with_its_bundle(tmp_path: Path) -> None:
    bundle = tmp_path / "authority.pem"
    TRUSTED.cert_pem.write_to_path(bundle)
    both, public = BareProbes(open_guard(), ca_bundle=str(bundle)), BareProbes(open_guard())
    with serving(TRUSTED.issue_cert("127.0.0.1")) as receiver:
        are_open = [p.connect([receiver.url])[receiver.url].is_open for p in (both, public)]
        assert are_open == [True, False]
    both.close()


@pytest.mark.parametrize("kind", [Transport, BareProbes])
def test_trusted_authorities_are_in_a_private_file_until_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Transport | BareProbes]
) -> None:
    bundle, own = tmp_path / "authority.pem", tmp_path / "own"
    TRUSTED.cert_pem.write_to_path(bundle)
    own.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(own))
    made = kind(open_guard(), ca_bundle=str(bundle))
    (joined,) = own.iterdir()
    text = joined.read_text()
    assert text == f"{Path(certifi.where()).read_text()}\n{bundle.read_text()}"
    for _ in range(2):
        made.close()
        assert list(own.iterdir()) == []


def test_the_environment_cannot_add_an_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "authority.pem"
    TRUSTED.cert_pem.write_to_path(bundle)
    for name in ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(bundle))
    plain = Transport(open_guard())
    with serving(TRUSTED.issue_cert("127.0.0.1")) as receiver:
        assert send(plain, receiver.url).reason is Reason.TLS_UNTRUSTED
    plain.close()


def test_https_to_a_plain_http_server_is_a_tls_failure(transport: Transport) -> None:
    with HostileServer(lambda visit: visit.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        exchange = send(transport, server.url.replace("http:", "https:"))
    transport.close()
    assert exchange.reason is Reason.TLS_OTHER, exchange.detail


def test_a_tls_handshake_that_never_starts_ends_by_the_deadline(transport: Transport) -> None:
    with HostileServer(hostile.silent) as server:
        exchange = send(transport, server.url.replace("http:", "https:"), timeout=1)
    transport.close()
    assert exchange.reason is Reason.TLS_OTHER, exchange.detail
    assert exchange.phases.total is not None
    assert exchange.phases.total < 1.5


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_tls_versions_are_refused(transport: Transport) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    TRUSTED.issue_cert("127.0.0.1").configure_cert(context)
    with Receiver(tls=context) as receiver:
        exchange = send(transport, receiver.url)
    transport.close()
    assert exchange.reason is Reason.TLS_OTHER, exchange.detail
