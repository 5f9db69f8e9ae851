"""What Redis says about itself and our queues, for health checks, System and metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError, ResponseError
from rq import Queue
from rq.registry import FailedJobRegistry

from portal.queue.clients import quick_client
from portal.queue.names import QUEUES
from portal.queue.portal_job import PortalJob

NO_EVICTION: Final = "noeviction"


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisState:
    """Memory in bytes; a `memory_limit` of 0 is none. `queued`, `failed`: jobs by queue."""

    version: str
    memory: int
    memory_limit: int
    may_evict: bool
    queued: Mapping[str, int]
    failed: Mapping[str, int]


def read_state(url: str) -> RedisState | None:
    """Ask the server at `url`; None when it does not answer within half a second."""
    client = quick_client(url)
    try:
        return _state(client)
    except RedisError:
        return None
    finally:
        client.close()


def _state(client: Redis) -> RedisState:
    client.ping()
    info = _info(client)
    queues = [Queue(name, connection=client, job_class=PortalJob) for name in QUEUES]
    registries = {
        queue.name: FailedJobRegistry(queue=queue, job_class=PortalJob).key for queue in queues
    }
    return RedisState(
        version=str(info.get("valkey_version") or info.get("redis_version") or "unknown"),
        memory=int(info.get("used_memory", 0)),
        memory_limit=int(info.get("maxmemory", 0)),
        may_evict=info.get("maxmemory_policy", NO_EVICTION) != NO_EVICTION,
        queued={queue.name: client.llen(queue.key) for queue in queues},
        failed={name: client.zcard(key) for name, key in registries.items()},
    )


def _info(client: Redis) -> dict[str, Any]:
    try:
        return client.info()
    except ResponseError:  # a user of the server who may not ask
        return {}
