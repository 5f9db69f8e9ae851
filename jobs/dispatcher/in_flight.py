"""The requests that a dispatcher has in flight."""

import logging
from collections.abc import Callable, Iterator, Sequence, Set
from time import monotonic
from typing import Final
from uuid import UUID

from jobs.dispatcher.connectivity import is_judged
from portal.config.settings import Settings
from portal.engine.connectivity import SUSPECT_AFTER
from portal.engine.http.custom_headers import HeaderError
from portal.engine.http.transport import Transport, prepare
from portal.engine.reasons import Reason
from portal.engine.retry_policy import AttemptKind
from portal.services.core import heartbeats
from portal.services.core.vault import VaultError
from portal.services.dispatch.claim import Claim
from portal.services.dispatch.request import Composer, Outgoing, Result, of_exchange, unsent
from portal.services.outbox.sharding import own_sharding

log = logging.getLogger(__name__)

UNDECRYPTABLE_FOR: Final = 60.0  # seconds for which nothing is sent to a webhook


class InFlight:
    """Sends claims and turns their finished requests into results."""

    def __init__(self, settings: Settings, transport: Transport) -> None:
        self._timeout = settings.webhook_timeout
        self._composer = Composer(settings.version)
        self._transport = transport
        self._sent: dict[int, tuple[Claim, Outgoing]] = {}
        self._last_key = 0
        self._undecryptable: dict[int, float] = {}  # webhooks, until when

    @property
    def count(self) -> int:
        """Return the number of unfinished requests."""
        return len(self._sent)

    @property
    def tokens(self) -> Set[UUID]:
        """Return the lease tokens of the requests."""
        return {claim.token for claim, _ in self._sent.values()}

    @property
    def undecryptable(self) -> Set[int]:
        """Return the ids of webhooks whose secrets this process recently failed to decrypt."""
        now = monotonic()
        self._undecryptable = {
            id_: until for id_, until in self._undecryptable.items() if until > now
        }
        return self._undecryptable.keys()

    def start(self, claim: Claim, record: Callable[[Result], None]) -> bool:
        """Send a claim. Pass a failed result to `record` if the request cannot be composed.

        Return False if the claim must be released, because another process may have its keys.
        """
        try:
            request = self._composer.compose(claim)
        except HeaderError as error:
            record(unsent(claim, Reason.BAD_HEADERS, str(error)))
        except VaultError as error:
            self._note_undecryptable(claim, error)
            return False
        except ValueError as error:  # a secret that cannot sign
            log.error("Delivery %s cannot be signed: %s", claim.public_id, error)
            record(unsent(claim, Reason.INTERNAL, str(error)))
        else:
            self._last_key += 1
            self._sent[self._last_key] = (claim, request)
            self._transport.start(
                self._last_key,
                prepare(request.url, request.headers, request.body),
                timeout=self._timeout,
                opens=request.opens,
                doubted=claim.webhook.throttled,
                # A test goes through name lookup, connection and certificate check.
                is_fresh=claim.kind is AttemptKind.TEST,
            )
        return True

    def drive(self, timeout: float) -> Iterator[Result]:
        """Do I/O for at most `timeout` seconds and yield the results of finished requests."""
        for exchange in self._transport.drive(timeout):
            claim, request = self._sent.pop(int(str(exchange.key)))
            own_sharding.note(claim.webhook.id, has_connected=not exchange.is_unreached)
            yield of_exchange(claim, exchange, request)

    def unheard(self) -> dict[int, Claim]:
        """Return requests to healthy receivers that have had no connection for a while."""
        claims = {}
        for key in map(int, map(str, self._transport.unheard(SUSPECT_AFTER))):
            claim = self._sent[key][0]
            if is_judged(claim) and not claim.webhook.throttled:
                claims[key] = claim
        return claims

    def abort(self, keys: Set[int]) -> tuple[list[Claim], list[Claim]]:
        """Abort requests. Return the claims that may have arrived, and the unsent claims."""
        arrived = self._transport.abort(keys)
        claims = {key: self._sent.pop(key)[0] for key in keys}
        sent = [claim for key, claim in claims.items() if key in arrived]
        return sent, [claim for key, claim in claims.items() if key not in arrived]

    def abort_all(self) -> Sequence[Claim]:
        """Abort all requests and return their claims, each of which may have arrived."""
        self._transport.abandon()
        sent = [claim for claim, _ in self._sent.values()]
        self._sent.clear()
        return sent

    def _note_undecryptable(self, claim: Claim, error: VaultError) -> None:
        heartbeats.note(heartbeats.UNDECRYPTABLE_SECRET)
        webhook = claim.webhook
        if webhook.id not in self._undecryptable:
            log.error("Nothing is sent to webhook %s for a minute: %s", webhook.public_id, error)
        self._undecryptable[webhook.id] = monotonic() + UNDECRYPTABLE_FOR
