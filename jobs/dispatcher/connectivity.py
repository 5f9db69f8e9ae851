"""Keep results that never had a connection until it is known whose failure it is.

Bare connects to other hosts tell, in a thread. Where those succeed, it is the receiver's failure,
and recorded. Where most fail, this sender is at fault: the deliveries are released, nothing is
recorded, and nothing is claimed for these hosts until they can be connected to.
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
    """The result of bare connects, and the hosts of all webhooks at that time."""

    probes: Sequence[Probe]
    targets: Mapping[str, Target]


class Verdict(NamedTuple):
    """Results to be recorded, for they are the receivers' failures, and results to be released."""

    record: Sequence[Result]
    release: Sequence[Result]


class Connectivity:
    """Judges to which hosts one sender can connect. All but `write_status` belongs to the
    dispatcher's thread."""

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
        """The webhooks for which nothing is claimed."""
        return self._offline_webhooks

    @property
    def tokens(self) -> Set[UUID]:
        """Of the leases of what is not decided yet."""
        return {each.claim.token for each in self._pending}

    @property
    def timeout(self) -> float:
        """Seconds to the next check, as far as there is something to be checked."""
        is_waiting = (self._hosts.since or self._pending) and self._check is None
        return max(0.0, self._check_at - self._clock()) if is_waiting else inf

    def keeps(self, result: Result) -> bool:
        """Return whether the result is kept here until other hosts were probed."""
        if not (result.is_unreached or self._hosts.has_expired):  # as nearly always
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
        """Return what has become known of the results that are kept; None: nothing new.

        `unheard`: what has had no connection for a while.
        """
        verdict = self._conclude() if self._check is not None and self._check.done() else None
        now = self._clock()
        suspects = {
            host: each.webhook.url
            for each in unheard
            if self._cleared.get(host := host_of(each.webhook.url), 0.0) < now
            and host not in self._hosts.since
        }
        is_time = now >= self._check_at and bool(self._hosts.since or self._pending)
        if self._check is None and (is_time or suspects):
            self._begin(suspects)
        return verdict

    def take_pending(self) -> Sequence[Result]:
        """Give up what is not decided yet."""
        pending, self._pending = self._pending, []
        return pending

    def write_status(self, engine: Engine) -> None:
        """Store in this process's row to which hosts it cannot connect; where that has changed."""
        since = self._hosts.since
        if since.keys() == self._written:
            return
        with engine.connect() as connection:
            writer = connection.execution_options(writing=True)
            with writer.begin():
                write_offline(writer, since, self._clock())
        self._written = set(since)

    def close(self) -> None:
        """Wait for the check that is under way; give back the thread, sockets and connections."""
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
        assert self._check is not None  # noqa: S101 - it is asked for before
        check, self._check = self._check, None
        now = self._clock()
        self._check_at = now + PROBE_EVERY
        try:
            probes, targets = check.result()
        except SQLAlchemyError as error:  # nor could anything be recorded now
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
        if pending:  # it has come meanwhile, for a host that was not asked for
            self._check_at = now
        self._pending = pending
        return Verdict([], decided) if is_at_fault else Verdict(decided, [])

    def _note_change(self, before: Set[str]) -> None:
        offline = self._hosts.since.keys()
        if new := offline - before:
            log.warning("Cannot connect to %s. No attempt is spent.", ", ".join(sorted(new)))
        if back := before - offline:
            log.warning("Sending to %s again.", ", ".join(sorted(back)))
        if new or back:
            self._thread.submit(self._write_status)

    def _write_status(self) -> None:
        try:
            self.write_status(self._own_engine())
        except SQLAlchemyError as error:  # the next heartbeat does it
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
        # One host alone tells nothing.
        is_enough = len(urls) > 1 or offline
        found = self._probes.connect(urls.values()) if is_enough else {}
        probes = [
            Probe(
                host,
                found[url].address if url in found else None,
                has_connected=url in found and found[url].is_open,
                is_well=host in targets and targets[host].is_well,
            )
            for host, url in urls.items()
        ]
        # No webhook is left there.
        probes += [Probe(each, None, True, is_well=False) for each in offline - urls.keys()]
        return Checked(probes, targets)

    def _own_engine(self) -> Engine:
        if self._engine is None:
            given = self._settings
            self._engine = brief_engine(given.database_url, given.database_options)
        return self._engine


def is_judged(claim: Claim) -> bool:
    """Return whether it says something of its receiver's host: the inbox and tests do not."""
    return claim.kind is not AttemptKind.TEST and claim.webhook.kind != WebhookKind.INBOX
