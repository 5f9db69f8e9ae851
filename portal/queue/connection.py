"""Connect to Redis, and read its state for health checks, the System page, and metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.retry import Retry
from rq import Queue
from rq.registry import FailedJobRegistry

from portal.queue.names import PROBE, QUEUES
from portal.queue.portal_job import PortalJob

NO_EVICTION: Final = "noeviction"


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisState:
    """The state of Redis or Valkey. Memory is in bytes. A `memory_limit` of 0 means no limit.

    `product`: the server's name and version. `queued`, `failed`: number of jobs by queue.
    """

    product: str
    memory: int
    memory_limit: int
    may_evict: bool
    queued: Mapping[str, int]
    failed: Mapping[str, int]


class RedisFault(StrEnum):
    """Reasons why Redis can't wake any process."""

    AWAY = "away"
    REFUSED = "refused"
    READ_ONLY = "read-only"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class RedisTrouble:
    """A fault of Redis. `reason`: the server's or the client's words."""

    fault: RedisFault
    reason: str


# Checked before `AWAY` because a wrong password is a connection error to the client.
_FAULTS: Final = (
    (AuthenticationError, RedisFault.REFUSED),
    (AuthorizationError, RedisFault.REFUSED),
    (NoPermissionError, RedisFault.REFUSED),
    (ReadOnlyError, RedisFault.READ_ONLY),
    (OutOfMemoryError, RedisFault.FULL),
)


def read_state(url: str) -> RedisState | RedisTrouble:
    """Return the state of the server at `url`. Each command takes half a second at most.

    A test write detects a read-only server, which can't wake any process.
    """
    client = quick_client(url)
    try:
        return _state(client)
    except RedisError as error:
        kinds = (fault for kind, fault in _FAULTS if isinstance(error, kind))
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return RedisTrouble(next(kinds, RedisFault.AWAY), reason.rstrip("."))
    finally:
        client.close()


def _state(client: Redis) -> RedisState:
    client.set(PROBE, 1, ex=1)
    info = _info(client)
    queues = [Queue(name, connection=client, job_class=PortalJob) for name in QUEUES]
    registries = {
        queue.name: FailedJobRegistry(queue=queue, job_class=PortalJob).key for queue in queues
    }
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = info.get(f"{name.lower()}_version")
    return RedisState(
        product=f"{name} {version}" if version else "unknown version",
        memory=int(info.get("used_memory", 0)),
        memory_limit=int(info.get("maxmemory", 0)),
        may_evict=info.get("maxmemory_policy", NO_EVICTION) != NO_EVICTION,
        queued={queue.name: client.llen(queue.key) for queue in queues},
        failed={name: client.zcard(key) for name, key in registries.items()},
    )


def _info(client: Redis) -> dict[str, Any]:
    try:
        return client.info()
    except ResponseError:  # a Redis user without this permission
        return {}


CONNECT_TIMEOUT: Final = 0.25
ANSWER_TIMEOUT: Final = 0.5


def quick_client(url: str) -> Redis:
    """Return a client for web requests and the dispatcher, with short timeouts and no retries."""
    return _client(url, CONNECT_TIMEOUT, ANSWER_TIMEOUT)


def patient_client(url: str) -> Redis:
    """Return a client for processes that enqueue or run jobs. RQ sets a worker's longer timeout."""
    return _client(url, 5, 5)


def _client(url: str, connect: float, answer: float) -> Redis:
    return Redis.from_url(
        url,
        protocol=2,
        socket_connect_timeout=connect,
        socket_timeout=answer,
        retry=Retry(NoBackoff(), 0),
    )
