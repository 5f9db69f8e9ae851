"""What System warns of about settings that leave a door open. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from portal.services.core import heartbeats
from portal.services.operations.finding import Finding, Level
from portal.services.operations.health import Facts

PROXY_IS_RECENT: Final = timedelta(days=1)


def is_redis_open(facts: Facts, _now: datetime) -> Iterator[Finding]:
    """A Redis that anybody who reaches it may write to."""
    parts = urlsplit(facts.settings.redis_url)
    if parts.scheme == "redis" and not parts.password:
        yield Finding(
            "redis_open",
            Level.WARNING,
            "Redis takes commands without a password. Whoever reaches it can run programs as the "
            "portal.",
            "Set a password (requirepass) and put it into REDIS_URL, or use a unix socket.",
        )


def is_plain_address(facts: Facts, _now: datetime) -> Iterator[Finding]:
    """Passwords that travel in the open."""
    parts = urlsplit(facts.settings.base_url)
    if parts.scheme == "http" and not _is_this_machine(parts.hostname or ""):
        yield Finding(
            "plain_address",
            Level.WARNING,
            "People reach the portal by http://, so passwords can be read on the way.",
            "Put a reverse proxy with a certificate in front, and set BASE_URL to its https:// "
            "address.",
        )


def is_proxy_untrusted(facts: Facts, now: datetime) -> Iterator[Finding]:
    """A proxy in front that passes people on, and is not asked who they are."""
    seen_at = facts.last_seen(heartbeats.PROXY)
    if facts.settings.trusted_proxies or seen_at is None or now - seen_at > PROXY_IS_RECENT:
        return
    yield Finding(
        "proxy_untrusted",
        Level.WARNING,
        "Requests come through a reverse proxy that the portal does not trust: everybody seems to "
        "have the proxy's address.",
        "If a reverse proxy stands in front, set TRUSTED_PROXIES to the number of proxies, and let "
        "it send X-Forwarded-For and X-Forwarded-Proto. If none does, somebody wrote these headers "
        "by hand: leave it at 0. This line goes a day after the last such request.",
    )


def is_local_trial(facts: Facts, _now: datetime) -> Iterator[Finding]:
    """A trial that is more than one person's."""
    host = urlsplit(facts.settings.base_url).hostname or ""
    if facts.settings.local_trial and not _is_this_machine(host):
        opens = ": webhooks may call programs on this machine"
        yield Finding(
            "local_trial",
            Level.WARNING,
            "This is a local trial, but others can reach it"
            f"{opens if facts.settings.opens_this_machine else ''}.",
            "Set LOCAL_TRIAL to 0, with keys of your own.",
        )


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
