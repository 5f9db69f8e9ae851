"""Connections to Redis: one that gives up fast, one that waits."""

from typing import Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

CONNECT_TIMEOUT: Final = 0.25
ANSWER_TIMEOUT: Final = 0.5


def quick_client(url: str) -> Redis:
    """A client that gives up fast, for web requests and the pump: no retries, short waits."""
    return Redis.from_url(
        url,
        protocol=2,
        socket_connect_timeout=CONNECT_TIMEOUT,
        socket_timeout=ANSWER_TIMEOUT,
        retry=Retry(NoBackoff(), 0),
    )


def patient_client(url: str) -> Redis:
    """A client for processes that take jobs from Redis or put them there. A worker's may wait for
    one for longer: RQ sets that."""
    return Redis.from_url(
        url,
        protocol=2,
        socket_connect_timeout=5,
        socket_timeout=5,
        retry=Retry(NoBackoff(), 0),
    )
