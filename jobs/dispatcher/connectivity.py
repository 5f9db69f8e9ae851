"""Hold back results that never had a connection until the side at fault is known.

A thread makes bare connects to other hosts. If those succeed, the receiver is at fault and the
result is recorded. If most fail, this sender is at fault. It then releases the deliveries, records
nothing, and claims nothing for these hosts until it can connect to them.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from math import inf
from time import monotonic
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from portal.config.settings import Settings
from portal.database.engine import brief_engine
from portal.engine.connectivity import (
    PROBE_EVERY,
    PROBED_HOSTS,
    SUSPECT_AGAIN,
    OfflineHosts,
    Probe,
)
from portal.engine.http.address_guard import host_of
from portal.engine.http.transport import BareProbes
from portal.engine.retry_policy import AttemptKind
from portal.models.webhooks import WebhookKind
from portal.services.dispatch import request
from portal.services.dispatch.claim import Claim
from portal.services.dispatch.request import Result
from portal.services.outbox.connectivity import Target, find_targets, write_offline

log = logging.getLogger(__name__)


class Checked(NamedTuple):
    """Results of bare connects, and the hosts of all webhooks at that time."""

    probes: Sequence[Probe]
    targets: Mapping[str, Target]


class Verdict(NamedTuple):
    """Results to record as the receivers' failures, and results to release."""

    record: Sequence[Result]
    release: Sequence[Result]


class Connectivity:
    """Judges which hosts one sender can connect to. Only the dispatcher's thread calls it, except
    for `write_status`."""

    def __init__(
        self,
        settings: Settings,
        wake: Callable[[], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._settings, self._wake, self._clock = settings, wake, clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="connectivity")
        self._probes: BareProbes | None = None
        self._engine: Engine | None = None
        self._check: Future[Checked] | None = None
        self._checked: Set[str] = frozenset()  # hosts of the results that the check is for
        self._check_at = 0.0
        self._pending: list[Result] = []
        self._hosts = OfflineHosts()
        self._offline_webhooks: frozenset[int] = frozenset()
        self._cleared: dict[str, float] = {}  # hosts that are no suspects, until when
        self._written: Set[str] | None = None

    @property
    def offline_webhooks(self) -> frozenset[int]:
        """Return the ids of webhooks to claim nothing for."""
        return self._offline_webhooks

    @property
    def tokens(self) -> Set[UUID]:
        """Return the lease tokens of undecided results."""
        return {result.claim.token for result in self._pending}

    @property
    def timeout(self) -> float:
        """Return the seconds to the next check, or infinity if there is nothing to check."""
        is_waiting = (self._hosts.since or self._pending) and self._check is None
        return max(0.0, self._check_at - self._clock()) if is_waiting else inf

    def keeps(self, result: Result) -> bool:
        """Return whether the result is held back until other hosts have been probed."""
        if not (result.is_unreached or self._hosts.has_expired):  # the usual case
            return False
        host = host_of(result.claim.webhook.url)
        if not result.is_unreached:
            self._hosts.note_connected(host)
            return False
        was_failing = result.claim.webhook.throttled and not self._hosts.since
        if was_failing or not is_judged(result.claim) or self._hosts.is_expired(host):
            return False
        self._pending.append(result)
        self._check_at = 0.0
        return True

    def check(self, unheard: Iterable[Claim] = ()) -> Verdict | None:
        """Return a verdict on results held back, or None if there is nothing new.

        `unheard`: claims whose requests have had no connection for a while.
        """
        verdict = self._conclude() if self._check is not None and self._check.done() else None
        now = self._clock()
        suspects = {
            host: claim.webhook.url
            for claim in unheard
            if self._cleared.get(host := host_of(claim.webhook.url), 0.0) < now
            and host not in self._hosts.since
        }
        is_time = now >= self._check_at and bool(self._hosts.since or self._pending)
        if self._check is None and (is_time or suspects):
            self._begin(suspects)
        return verdict

    def take_pending(self) -> Sequence[Result]:
        """Remove and return undecided results."""
        pending, self._pending = self._pending, []
        return pending

    def write_status(self, engine: Engine) -> None:
        """Store the hosts that this process cannot connect to in its row, if they have changed."""
        since = self._hosts.since
        if since.keys() == self._written:
            return
        with engine.connect() as connection:
            writer = connection.execution_options(writing=True)
            with writer.begin():
                write_offline(writer, since, self._clock())
        self._written = set(since)

    def close(self) -> None:
        """Wait for the running check, then release the thread, sockets and connections."""
        self._thread.shutdown()
        if self._probes is not None:
            self._probes.close()
        if self._engine is not None:
            self._engine.dispose()

    def _begin(self, suspects: Mapping[str, str]) -> None:
        asked = {host_of(each.claim.webhook.url): each.claim.webhook.url for each in self._pending}
        self._checked = frozenset(asked)
        self._check = self._thread.submit(
            self._probe, {**suspects, **asked}, frozenset(self._hosts.since)
        )
        self._check.add_done_callback(lambda _: self._wake())

    def _conclude(self) -> Verdict | None:
        assert self._check is not None  # noqa: S101 - the caller has checked it
        check, self._check = self._check, None
        now = self._clock()
        self._check_at = now + PROBE_EVERY
        try:
            probes, targets = check.result()
        except SQLAlchemyError as error:  # nothing could be recorded now either
            log.debug("The hosts were not probed: %s", error.__class__.__name__)
            return None
        before = set(self._hosts.since)
        is_at_fault = self._hosts.note_probes(probes, now)
        self._cleared |= {
            each.host: now + SUSPECT_AGAIN
            for each in probes
            if each.has_connected or not is_at_fault
        }
        offline = self._hosts.since.keys()
        self._offline_webhooks = frozenset().union(
            *(targets[host].webhooks for host in offline if host in targets)
        )
        self._note_change(before)
        decided: list[Result] = []
        pending: list[Result] = []
        unconnected = {each.host for each in probes if not each.has_connected}
        for each in self._pending:
            is_checked = host_of(each.claim.webhook.url) in self._checked | unconnected
            (decided if is_checked else pending).append(each)
        if pending:  # arrived during the check, for an unchecked host
            self._check_at = now
        self._pending = pending
        return Verdict([], decided) if is_at_fault else Verdict(decided, [])

    def _note_change(self, before: Set[str]) -> None:
        offline = self._hosts.since.keys()
        if new := offline - before:
            log.warning("Cannot connect to %s. No attempt is used up.", ", ".join(sorted(new)))
        if back := before - offline:
            log.warning("Sending to %s again.", ", ".join(sorted(back)))
        if new or back:
            self._thread.submit(self._write_status)

    def _write_status(self) -> None:
        try:
            self.write_status(self._own_engine())
        except SQLAlchemyError as error:  # the next heartbeat retries
            log.debug("Not written: %s", error.__class__.__name__)

    def _probe(self, asked: Mapping[str, str], offline: Set[str]) -> Checked:
        with self._own_engine().connect() as connection:
            targets = find_targets(connection)
        urls = {host: targets[host].url for host in offline if host in targets} | dict(asked)
        if asked:
            others = [host for host, each in targets.items() if each.is_well and host not in urls]
            urls |= {host: targets[host].url for host in others[:PROBED_HOSTS]}
        if self._probes is None:
            guard, bundle = request.guard(self._settings), self._settings.webhook_ca_bundle or None
            self._probes = BareProbes(guard, ca_bundle=bundle)
        # One host alone proves nothing.
        is_enough = len(urls) > 1 or offline
        connects = self._probes.connect(urls.values()) if is_enough else {}
        probes = [
            Probe(
                host,
                connects[url].address if url in connects else None,
                has_connected=url in connects and connects[url].is_open,
                is_well=host in targets and targets[host].is_well,
            )
            for host, url in urls.items()
        ]
        # No webhook is left for these hosts.
        probes += [Probe(each, None, True, is_well=False) for each in offline - urls.keys()]
        return Checked(probes, targets)

    def _own_engine(self) -> Engine:
        if self._engine is None:
            settings = self._settings
            self._engine = brief_engine(settings.database_url, settings.database_options)
        return self._engine


def is_judged(claim: Claim) -> bool:
    """Return whether the claim tells something about its receiver's host. The inbox and tests do
    not."""
    return claim.kind is not AttemptKind.TEST and claim.webhook.kind != WebhookKind.INBOX
