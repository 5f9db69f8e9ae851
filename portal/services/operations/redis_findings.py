"""What System warns of about Redis. Pure."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from portal.queue.redis_state import RedisFault
from portal.services.operations.finding import Finding, Level
from portal.services.operations.health import Facts

# fault → what is the matter, what to do. The workers look for what is due themselves meanwhile.
REDIS: Final = {
    RedisFault.AWAY: (
        "Redis does not answer, so deliveries start up to a second late",
        "Start Redis (or Valkey), and check REDIS_URL. Nothing is lost meanwhile.",
    ),
    RedisFault.REFUSED: (
        "Redis refuses the portal",
        "Check the user and the password in REDIS_URL.",
    ),
    RedisFault.READ_ONLY: (
        "Redis takes no changes, so deliveries start up to a second late",
        "Let REDIS_URL name the primary, not a replica.",
    ),
    RedisFault.FULL: (
        "Redis has used up its memory, so deliveries start up to a second late",
        "Give it more (maxmemory), and let nobody else use it.",
    ),
}


def redis_wakes(facts: Facts, _now: datetime) -> Iterator[Finding]:
    """That it takes what wakes the workers, and keeps it."""
    redis, trouble = facts.redis, facts.redis_trouble
    if trouble is not None:
        what, todo = REDIS[trouble.fault]
        yield Finding(
            f"redis_{trouble.fault.replace('-', '_')}",
            Level.WARNING,
            f"{what}: {trouble.reason}.",
            todo,
        )
    elif redis is not None and redis.may_evict and redis.memory_limit:
        yield Finding(
            "redis_evicts",
            Level.WARNING,
            "Redis may throw jobs away when its memory is full.",
            "Set maxmemory-policy to noeviction.",
        )
