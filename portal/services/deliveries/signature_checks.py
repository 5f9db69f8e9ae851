"""Check a pasted signature against a delivery. Reads the secret, but returns only text."""

from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import select

from portal.engine.signing.check import Diagnosis, Message, diagnose
from portal.engine.signing.signatures import SIGNATURE_HEADERS
from portal.lib.clock import common_now
from portal.models.deliveries import Attempt, AttemptBody, Delivery
from portal.models.webhooks import Webhook
from portal.services import audit
from portal.services.core import vault
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.deliveries.detail import AttemptDetail, DeliveryDetail
from portal.services.deliveries.retry import audited
from portal.services.people import sign_in_throttle
from portal.services.people.sign_in_throttle import Key
from portal.services.webhooks.secrets import old_secret

SIGNATURES: Final = frozenset(name.lower() for name in SIGNATURE_HEADERS)
STAMP: Final = frozenset({"webhook-timestamp"})
# Deliveries checked before this one, after it, and at the end of the log. People who paste the
# signature of another delivery take it from a log entry nearby, or from the newest request.
NEIGHBOURS: Final = 40
NEWEST: Final = 20
ATTEMPTS: Final = 3  # of each delivery, the newest
BODIES: Final = 3  # of one delivery, the newest
UNKNOWN: Final = frozenset({"unknown", "no_key"})
# A person can make this many checks in a row. Then each causes a pause, until a quiet period.
CHECKS: Final = 20
QUIET: Final = timedelta(minutes=5)


def check_signature(
    actor: Actor, delivery: DeliveryDetail, pasted: str, received: str = ""
) -> Diagnosis:
    """Diagnose which part of a pasted signature differs from ours.

    `received`: the body that the receiver checked, if known. Raises `Refusal` if the stored secret
    can't be decrypted, and `Throttled` after many checks in a row.
    """
    _count(actor, delivery)
    secret, following = _secrets(delivery.webhook_id)
    others = tuple(_sent_with_others(delivery.public_id))
    checks = []
    for body in delivery.bodies[:BODIES]:
        attempts = [attempt for attempt in delivery.attempts if attempt.body == body]
        stamps = _headers(attempts, STAMP)
        message = Message(
            body=body,
            id=str(delivery.public_id),
            stamps=[(number, int(text)) for number, text in stamps if text.isdecimal()],
            sent=tuple(_headers(attempts, SIGNATURES)),
            others=others,
            secret=secret,
            next_secret=following,
        )
        checks.append(diagnose(pasted, message, received))
        if checks[-1].part not in UNKNOWN:
            return checks[0] if len(checks) == 1 else _of_earlier(checks[-1], attempts[-1].number)
    return checks[0]


def _of_earlier(diagnosis: Diagnosis, number: int) -> Diagnosis:
    """Add that later attempts had a different body."""
    step = f"It belongs to attempt {number}. Later attempts had a different body."
    return diagnosis._replace(steps=(*diagnosis.steps, step))


def _count(actor: Actor, delivery: DeliveryDetail) -> None:
    """Count and audit the check, without the pasted text.

    The count limits the rate, because many quick checks could reveal a short key.
    """
    key = Key(f"signature:{actor.user_id}", CHECKS, QUIET)
    sign_in_throttle.check([key])
    with writing() as current:
        require(current, actor, "deliveries.read")
        sign_in_throttle.count([key])
        target = audited(delivery.public_id, delivery.event, delivery.asset_tag)
        audit.record(current, actor, "delivery.signature_checked", target=target)


def _secrets(webhook_id: UUID) -> tuple[str | None, str | None]:
    """Return the secret of the legacy signature now, and the one that follows after an overlap."""
    webhook = session().scalars(select(Webhook).where(Webhook.public_id == webhook_id)).one()
    sealed, before = webhook.secret_enc, old_secret(webhook, common_now())
    try:
        present = vault.open_secret(webhook.id, sealed) if sealed else None
        earlier = vault.open_secret(webhook.id, before) if before else None
    except vault.VaultError:
        raise Refusal(
            "We can’t decrypt this webhook’s secret key. Contact your administrator."
        ) from None
    return (earlier, present) if earlier else (present, None)


def _headers(
    attempts: Sequence[AttemptDetail], names: Collection[str]
) -> Iterator[tuple[int, str]]:
    for attempt in attempts:
        for name, value in attempt.request_headers:
            if name.lower() in names:
                yield attempt.number, value


def _sent_with_others(public_id: UUID) -> Iterator[tuple[str, str]]:
    """Yield (public id, signature) of other deliveries to the same webhook."""
    current = session()
    query = select(Delivery.id, Delivery.webhook_id).where(Delivery.public_id == public_id)
    delivery = current.execute(query).one_or_none()
    if delivery is None:
        return
    same = select(Delivery.id).where(Delivery.webhook_id == delivery.webhook_id)
    before, behind = same.where(Delivery.id < delivery.id), same.where(Delivery.id > delivery.id)
    older, newer = Delivery.id.desc(), Delivery.id.asc()
    ids = {
        *current.scalars(before.order_by(older).limit(NEIGHBOURS)),
        *current.scalars(behind.order_by(newer).limit(NEIGHBOURS)),
        *current.scalars(behind.order_by(older).limit(NEWEST)),
    }
    requests = (
        select(Delivery.public_id, AttemptBody.request_headers)
        .join(Attempt, Attempt.delivery_id == Delivery.id)
        .join(AttemptBody, AttemptBody.attempt_id == Attempt.id)
        .where(Delivery.id.in_(ids), Attempt.number > Delivery.attempts - ATTEMPTS)
    )
    for other, headers in current.execute(requests):
        for name, value in headers:
            if name.lower() in SIGNATURES:
                yield str(other), value
