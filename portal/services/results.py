"""From what the transport hands back to what is recorded: bounded, and in milliseconds."""

from portal.delivery.exchange import Exchange
from portal.delivery.policy import Outcome, parse_retry_after
from portal.delivery.reasons import Reason
from portal.lib.clock import utcnow
from portal.services.claiming import Claim
from portal.services.outgoing import MASK, Outgoing
from portal.services.recording import Result


def of_exchange(claim: Claim, exchange: Exchange, sent: Outgoing) -> Result:
    """The result of the request that went out. What it must not tell is masked in the answer too:
    some receivers send back what they got."""

    def safe(text: str) -> str:
        for secret in sent.hidden:
            text = text.replace(secret, MASK)
        return text

    now = utcnow()
    asked = exchange.header("Retry-After")
    return Result(
        claim=claim,
        outcome=Outcome(
            exchange.reason, exchange.code, parse_retry_after(asked, now) if asked else None
        ),
        phases=_milliseconds(exchange),
        peer=exchange.peer,
        certificate_ends_at=exchange.certificate_ends_at,
        request_headers=sent.shown,
        response_headers=[[name, safe(value)] for name, value in exchange.response_headers],
        response_text=safe(exchange.text),
        is_truncated=exchange.truncated,
        location=safe(exchange.location) if exchange.location else exchange.location,
        detail=exchange.detail,
        finished_at=now,
    )


def unsent(claim: Claim, reason: Reason, detail: str) -> Result:
    """The result of an attempt that could not even be written down as a request."""
    return Result(
        claim=claim,
        outcome=Outcome(reason),
        phases={},
        peer=None,
        certificate_ends_at=None,
        request_headers=[],
        response_headers=[],
        response_text="",
        is_truncated=False,
        location=None,
        detail=detail,
        finished_at=utcnow(),
    )


def _milliseconds(exchange: Exchange) -> dict[str, float | None]:
    phases = exchange.phases
    seconds = {
        "name": phases.name_lookup,
        "connect": phases.connect,
        "tls": phases.tls,
        "first_byte": phases.first_byte,
        "total": phases.total,
    }
    if phases.again is not None:
        seconds["again"] = phases.again
    return {name: None if s is None else round(s * 1000, 1) for name, s in seconds.items()}
