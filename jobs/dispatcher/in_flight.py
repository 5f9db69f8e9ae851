"""The requests that a dispatcher has under way."""

import logging
from collections.abc import Sequence, Set
from time import monotonic
from typing import Final
from uuid import UUID

from jobs.dispatcher.connectivity import Connectivity, is_judged
from jobs.dispatcher.recorder import Recorder
from portal.config.settings import Settings
from portal.engine.connectivity import SUSPECT_AFTER
from portal.engine.http.custom_headers import HeaderError
from portal.engine.http.transport import Transport, prepare
from portal.engine.reasons import Reason
from portal.engine.retry_policy import AttemptKind
from portal.services.core import heartbeats
from portal.services.core.vault import VaultError
from portal.services.dispatch import results
from portal.services.dispatch.claim_types import Claim
from portal.services.dispatch.request import Composer, Outgoing
from portal.services.outbox.sharding import own_sharding

log = logging.getLogger(__name__)

SHUT_FOR: Final = 60.0  # seconds that this process leaves a webhook of which something is closed


class InFlight:
    """From a claim to the request that is sent for it, and to its result at the recorder."""

    def __init__(
        self,
        settings: Settings,
        transport: Transport,
        recorder: Recorder,
        connectivity: Connectivity,
    ) -> None:
        self._timeout = settings.webhook_timeout
        self._composer = Composer(settings.version)
        self._transport, self._recorder = transport, recorder
        self._connectivity = connectivity
        self._flying: dict[int, tuple[Claim, Outgoing]] = {}
        self._started = 0  # the key of the last request
        self._shut: dict[int, float] = {}  # webhooks that cannot be signed for, until when

    @property
    def count(self) -> int:
        """How many have not ended."""
        return len(self._flying)

    @property
    def tokens(self) -> Set[UUID]:
        """Of the leases under which they are sent."""
        return {claim.token for claim, _ in self._flying.values()}

    @property
    def closed(self) -> Set[int]:
        """The webhooks that this process leaves alone for a while: their secrets do not open."""
        now = monotonic()
        self._shut = {webhook: until for webhook, until in self._shut.items() if until > now}
        return self._shut.keys()

    def start(self, claim: Claim) -> bool:
        """Send it. What cannot be composed has its result at once; False: it is to be given back,
        for other keys than ours may open what it is signed with."""
        try:
            request = self._composer.compose(claim)
        except HeaderError as error:
            self._recorder.add(results.unsent(claim, Reason.BAD_HEADERS, str(error)))
        except VaultError as error:
            self._shut_out(claim, error)
            return False
        except ValueError as error:  # a secret that cannot sign
            log.error("Delivery %s cannot be signed: %s", claim.public_id, error)
            self._recorder.add(results.unsent(claim, Reason.INTERNAL, str(error)))
        else:
            self._started += 1
            self._flying[self._started] = (claim, request)
            self._transport.start(
                self._started,
                prepare(request.url, request.headers, request.body),
                timeout=self._timeout,
                opens=request.opens,
                doubted=claim.webhook.throttled,
                # A test goes through every phase: name, connection, certificate.
                is_fresh=claim.kind is AttemptKind.TEST,
            )
        return True

    def _shut_out(self, claim: Claim, error: VaultError) -> None:
        heartbeats.note(heartbeats.CLOSED_SECRET)
        webhook = claim.webhook
        if webhook.id not in self._shut:
            log.error("Nothing is sent to webhook %s for a minute: %s", webhook.public_id, error)
        self._shut[webhook.id] = monotonic() + SHUT_FOR

    def unheard(self) -> dict[int, Claim]:
        """Those of receivers that were well, which have had no connection for a while."""
        found = {}
        for key in map(int, map(str, self._transport.unheard(SUSPECT_AFTER))):
            claim = self._flying[key][0]
            if is_judged(claim) and not claim.webhook.throttled:
                found[key] = claim
        return found

    def abort(self, keys: Set[int]) -> tuple[list[Claim], list[Claim]]:
        """Drop these; return those that may have arrived, and those that were not sent."""
        arrived = self._transport.abort(keys)
        claims = {key: self._flying.pop(key)[0] for key in keys}
        sent = [claim for key, claim in claims.items() if key in arrived]
        return sent, [claim for key, claim in claims.items() if key not in arrived]

    def drive(self, patience: float) -> None:
        """Move bytes for so many seconds at most; hand in what has ended."""
        for exchange in self._transport.drive(patience):
            claim, request = self._flying.pop(int(str(exchange.key)))
            own_sharding.note(claim.webhook.id, has_connected=not exchange.is_unreached)
            result = results.of_exchange(claim, exchange, request)
            if not self._connectivity.keeps(result):
                self._recorder.add(result)

    def abort_all(self) -> Sequence[Claim]:
        """Drop them; whoever was sent these may have got them."""
        self._transport.abandon()
        sent = [claim for claim, _ in self._flying.values()]
        self._flying.clear()
        return sent
