"""Processes that live on Redis wait for it at their start, instead of dying in a tight loop."""

import logging
import time
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

PATIENCE: Final = 60.0
LONGEST_PAUSE: Final = 2.0


def wait_for_redis(redis: Redis, patience: float = PATIENCE) -> None:
    """Return when Redis answers. Raises `RedisError` after `patience` seconds."""
    deadline = time.monotonic() + patience
    pause = 0.05
    while True:
        try:
            redis.ping()
        except RedisError as error:
            if time.monotonic() > deadline:
                raise
            if pause == LONGEST_PAUSE:
                log.warning("Waiting for Redis: %s", error)
            pause = min(pause * 2, LONGEST_PAUSE)
            time.sleep(pause)
        else:
            return
