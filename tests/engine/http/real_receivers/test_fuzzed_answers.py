"""Fuzzed responses in arbitrary pieces: each has one meaning, within bounds and without secrets."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, example, given, note, settings
from hypothesis import strategies as st

from portal.base_app import create_base_app
from portal.config.settings import load_settings
from portal.engine.http.curl_handle import MAX_BODY
from portal.engine.http.exchange import (
    MAX_DETAIL,
    MAX_KEPT_HEADER_NAME,
    MAX_KEPT_HEADER_VALUE,
    MAX_KEPT_HEADERS,
    MAX_TEXT,
)
from portal.engine.http.transport import Exchange, Transport, prepare
from portal.engine.reasons import Reason, reason_for_code
from portal.engine.retry_policy import AttemptKind
from portal.extensions import Base, db
from portal.models.operations import KeyCheck
from portal.services.core import vault
from portal.services.dispatch.claim import Claim, Target
from portal.services.dispatch.request import Composer, Outgoing, of_exchange
from tests.conftest import ENVIRONMENT
from tests.engine.http.real_receivers import answers
from tests.engine.http.real_receivers.answers import WELL_FORMED, Said, WellFormed, cut_up
from tests.engine.http.real_receivers.hostile import OK_HEAD, HostileServer, Visit
from tests.engine.http.real_receivers.send import BODY, HEADERS, drive_all
from tests.faults.support.durations import IS_FULL

KEY = "aK3y-of-ours/that-nobody-else-should-see"
SECRET = "whsec_c2VjcmV0IG9mIHRoZSBmdXp6ZWQgYW5zd2Vycw=="
BRIEF = 0.5  # seconds until a hanging request times out
PATIENT = 20.0
SOMETHING = 8  # characters that reveal part of a secret
NO_ANSWER = {Reason.NO_REPLY, Reason.RESET, Reason.BAD_REPLY, Reason.READ_TIMEOUT}
# If the machine stalls for half a second.
NO_ANSWER |= {Reason.CONNECT_TIMEOUT}
USUAL = settings(derandomize=not IS_FULL, database=None, suppress_health_check=list(HealthCheck))
few = settings(USUAL, max_examples=400 if IS_FULL else 35)
many = settings(USUAL, max_examples=1000 if IS_FULL else 80)


class Stage:
    """A receiver that plays the script set last."""

    def __init__(self) -> None:
        self.said = Said([])
        self.server = HostileServer(self._play)

    def _play(self, visit: Visit) -> None:
        self.said.play(visit)

    def hear(
        self, transport: Transport, said: Said, sent: Outgoing | None, limit: float
    ) -> Exchange:
        """Send one request on a fresh connection, and return the exchange."""
        self.said = said
        headers, body = (sent.headers, sent.body) if sent else (HEADERS, BODY)
        request = prepare(self.server.url, headers, body)
        transport.start("one", request, timeout=limit, is_fresh=True)
        (exchange,) = drive_all(transport, limit + 10)
        return exchange


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Yield a stage that listens during the test."""
    made = Stage()
    with made.server:
        yield made


@pytest.fixture
def claim(tmp_path: Path) -> Iterator[Claim]:
    """Yield the claim of a delivery with a signing secret and a secret header."""
    places = {"DATABASE_URL": f"sqlite:///{tmp_path}/keys", "INSTANCE_DIR": str(tmp_path)}
    with create_base_app(load_settings({**ENVIRONMENT, **places})).app_context():
        Base.metadata.tables[KeyCheck.__tablename__].create(db.engine)
        target = Target(
            id=1,
            public_id=uuid4(),
            kind="http",
            url="http://127.0.0.1/",
            secret_enc=vault.seal_secret(1, SECRET),
            old_secret_enc=None,
            old_until=None,
            headers_enc=vault.seal_headers(1, [("X-Api-Key", KEY)]),
            throttled=False,
            version=1,
            format=None,
            url_is_secret=False,
        )
        yield Claim(
            delivery_id=1,
            public_id=str(uuid4()),
            token=uuid4(),
            number=1,
            started_at=datetime.now(UTC),
            kind=AttemptKind.SCHEDULED,
            actor=None,
            tries=1,
            event="asset.created",
            occurred_at=datetime.now(UTC),
            body=BODY,
            webhook=target,
            shown_url=target.url,
        )


def pieces_of(answer: WellFormed) -> st.SearchStrategy[tuple[WellFormed, list[bytes]]]:
    return cut_up(answer.wire()).map(lambda pieces: (answer, pieces))


@few
@given(st.data())
def test_a_well_formed_response_is_read_the_same_wherever_it_is_split(
    transport: Transport, stage: Stage, data: st.DataObject
) -> None:
    answer, pieces = data.draw(WELL_FORMED.flatmap(pieces_of))
    exchange = stage.hear(transport, Said(pieces), None, PATIENT)
    headers = [(name[:MAX_KEPT_HEADER_NAME], value.strip()) for name, value in answer.framed]
    body = b"" if answer.code in answers.NO_BODY else answer.body
    assert (exchange.code, exchange.reason) == (answer.code, reason_for_code(answer.code)), (
        exchange.detail
    )
    assert list(exchange.response_headers) == headers
    assert exchange.phrase == answer.phrase[:96]
    assert (exchange.body, exchange.truncated) == (body[:MAX_BODY], len(body) > MAX_BODY)
    assert_bounded(exchange, PATIENT)


def with_head(lines: bytes, body: bytes = b"") -> Said:
    return Said([OK_HEAD + lines + b"\r\n" + body])


@many
@given(said=answers.others([KEY.encode(), SECRET.encode()]))
@example(with_head(b"X-%s: 1\r\n" % KEY.encode()))
@example(with_head(b"Transfer-Encoding: %s, chunked\r\n" % KEY.encode()))
@example(with_head(b"X: %s%s\r\n" % (b"x" * (MAX_KEPT_HEADER_VALUE - 20), KEY.encode())))
@example(with_head(b"", b"x" * (MAX_TEXT - 20) + KEY.encode()))
@example(with_head(b"", b"\xf0\x9f\x92\xa1" * (MAX_BODY // 4 - 9) + KEY.encode()))
@example(with_head(b"", KEY.encode()[:20]))
@example(Said([b"HTTP/1.1 101 Wait\n\r\nX-: " + KEY.encode()[:20]]))
@example(Said([OK_HEAD + b"Content-Length: 99\r\n\r\n" + KEY.encode()[:20]]))
def test_any_response_ends_in_time_within_bounds_without_secrets(
    transport: Transport, stage: Stage, claim: Claim, said: Said
) -> None:
    sent = Composer("1").compose(claim)
    exchange = stage.hear(transport, said, sent, BRIEF)
    note(f"{exchange.reason} {exchange.code} {exchange.detail!r}")
    assert_bounded(exchange, BRIEF)
    kept = of_exchange(claim, exchange, sent)
    parts = [kept.response_text, kept.location or "", kept.detail]
    parts += [part for header in kept.response_headers for part in header]
    for part in parts:
        for secret in (KEY, SECRET):
            assert secret[:SOMETHING] not in part


def assert_bounded(found: Exchange, limit: float) -> None:
    """Check that the exchange has a known outcome and that any database can store its texts."""
    if found.code is None:
        assert found.reason in NO_ANSWER, found.detail
    elif found.reason is not Reason.READ_TIMEOUT:
        assert 200 <= found.code <= 599
        assert found.reason == reason_for_code(found.code)
    assert (found.reason is None) <= (found.code is not None and found.code // 100 == 2)
    assert (found.error is None) == (found.response is not None)
    assert len(found.body) <= MAX_BODY
    assert len(found.text) <= MAX_TEXT
    assert len(found.response_headers) <= MAX_KEPT_HEADERS
    for name, value in found.response_headers:
        assert len(name) <= MAX_KEPT_HEADER_NAME
        assert len(value) <= MAX_KEPT_HEADER_VALUE
    assert len(found.phrase) <= 100
    assert len(found.detail) <= MAX_DETAIL
    assert "\n" not in found.detail
    everything = [found.text, found.phrase, found.detail, *map(str, found.response_headers)]
    for text in everything:
        assert "\0" not in text
        text.encode("utf-8")
    assert found.phases.total is not None
    assert found.phases.total < limit + 5  # the machine can be slow
