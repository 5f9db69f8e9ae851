"""The portal's only RQ job class, which runs one of the portal's own functions by name.

An attacker who can write to Redis controls the jobs that a worker reads. RQ's own class unpickles
them, imports the functions that they name, and calls their callbacks. Ours accepts only `JOB_NAMES`
without arguments. So a forged job can only repeat our own work.
"""

import json
import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from redis import Redis
from redis.exceptions import ResponseError
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.utils import as_text

from portal.queue import names

log = logging.getLogger(__name__)

MOST_BYTES: Final = 4096  # of a whole job. Ours have about 700.
LONGEST_SHOWN: Final = 80  # characters of a forged job in the log
FIELDS: Final = {
    *("data", "meta", "origin", "status", "description", "worker_name"),
    *("timeout", "ttl", "result_ttl", "failure_ttl", "enqueue_at_front"),
    *("created_at", "enqueued_at", "started_at", "ended_at", "last_heartbeat"),
}
# The ID of the request that enqueued the job, and the interval of rq-scheduler.
META: Final = re.compile(rb'\{("request_id":"[0-9a-f]{1,32}")?,?("interval":[1-9][0-9]{0,8})?\}')


class PortalSerializer:
    """A serializer for data as a name and meta as JSON. Results aren't kept."""

    @staticmethod
    def dumps(value: object, /) -> bytes:
        """Return the bytes of a job's data or meta."""
        if isinstance(value, tuple):
            return str(value[0]).encode()
        return json.dumps(value, separators=(",", ":")).encode() if isinstance(value, dict) else b""

    @staticmethod
    def loads(data: bytes, /) -> Any:
        """Return the argument of `dumps`. Raises ValueError for bytes of a foreign job."""
        if META.fullmatch(data):
            return json.loads(data)
        if (name := data.decode()) in names.JOB_NAMES:
            return name, None, (), {}
        raise ValueError("not the name of a job of ours, nor what goes with one")


class PortalJob(Job):
    """A job whose stored form can only name one of our functions.

    Any other job is logged and raises `NoSuchJobError`, and RQ skips it.
    """

    def __init__(
        self, id: str | None = None, connection: Redis | None = None, serializer: object = None
    ) -> None:
        super().__init__(id, connection=connection)
        self.serializer = PortalSerializer  # regardless of RQ's argument

    @classmethod
    def fetch(cls, id: str, connection: Redis | None = None, serializer: object = None) -> Job:
        """Return the stored job. Raises `NoSuchJobError`, also for an ID that no job can have."""
        try:
            return super().fetch(id, connection=connection)
        except (ValueError, ResponseError) as error:  # ResponseError: the key is a list, say
            raise refused(id, error) from None

    @classmethod
    def fetch_many(
        cls, job_ids: Iterable[str], connection: Redis, serializer: object = None
    ) -> list[Job | None]:
        """Return the stored jobs, with None for each missing or foreign one."""
        jobs: list[Job | None] = []
        for id_ in job_ids:
            try:
                jobs.append(cls.fetch(id_, connection=connection))
            except NoSuchJobError:
                jobs.append(None)
        return jobs

    def restore(self, raw_data: Mapping[bytes | str, Any]) -> None:
        """Load the stored fields. Raises `NoSuchJobError` for a foreign job."""
        try:
            fields = {as_text(name): value for name, value in raw_data.items() if value}
            fields.pop("exc_info", None)  # RQ adds it to a failed job
            if strange := fields.keys() - FIELDS:
                raise ValueError(f"it carries {', '.join(sorted(strange))}")
            # RQ compresses the data. So few bytes can't expand into many.
            if sum(map(len, fields.values())) > MOST_BYTES:
                raise ValueError("it is too long")
            PortalSerializer.loads(fields.get("meta", b"{}"))
            super().restore(fields)
            PortalSerializer.loads(self.data)
            if self.origin not in names.QUEUES:
                raise ValueError("it belongs to no queue of ours")
        except Exception as error:  # a forged job can fail in any way
            raise refused(self.id, error) from None


def refused(id_: str, error: Exception) -> NoSuchJobError:
    """Log a foreign job and return the error for it."""
    words = " ".join(str(error).split())[:LONGEST_SHOWN]
    log.warning("Skipped job %r, which is not this portal's: %s", id_[:LONGEST_SHOWN], words)
    return NoSuchJobError("not a job of ours")
