"""The only job that this portal writes and reads: one of its own functions, by its name.

Whoever can write to Redis chooses what a worker reads there. RQ's job unpickles it, imports what it
names and calls what it lists, before or after its work. Ours can only be one of `JOB_NAMES`,
without arguments: the most that a stranger's entry does is to have our own work done once more.
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

MOST_BYTES: Final = 4096  # of a whole job; one of ours has some 700
LONGEST_SHOWN: Final = 80  # characters of a stranger's words in the log
FIELDS: Final = {
    *("data", "meta", "origin", "status", "description", "worker_name"),
    *("timeout", "ttl", "result_ttl", "failure_ttl", "enqueue_at_front"),
    *("created_at", "enqueued_at", "started_at", "ended_at", "last_heartbeat"),
}
# The request that asked for a job; how often rq-scheduler queues it.
META: Final = re.compile(rb'\{("request_id":"[0-9a-f]{1,32}")?,?("interval":[1-9][0-9]{0,8})?\}')


class PortalSerializer:
    """Data is a name, meta is JSON; a result is not kept."""

    @staticmethod
    def dumps(value: object, /) -> bytes:
        """The bytes of a job's data or meta."""
        if isinstance(value, tuple):
            return str(value[0]).encode()
        return json.dumps(value, separators=(",", ":")).encode() if isinstance(value, dict) else b""

    @staticmethod
    def loads(data: bytes, /) -> Any:
        """The value that `dumps` was given. Raises ValueError for the bytes of no job of ours."""
        if META.fullmatch(data):
            return json.loads(data)
        if (name := data.decode()) in names.JOB_NAMES:
            return name, None, (), {}
        raise ValueError("not the name of a job of ours, nor what goes with one")


class PortalJob(Job):
    """A job whose stored form can name one of our functions, and nothing else.

    What cannot be one is no job: `NoSuchJobError`, which RQ passes over, and a line in the log.
    """

    def __init__(
        self, id: str | None = None, connection: Redis | None = None, serializer: object = None
    ) -> None:
        super().__init__(id, connection=connection)
        self.serializer = PortalSerializer  # whichever one RQ hands on

    @classmethod
    def fetch(cls, id: str, connection: Redis | None = None, serializer: object = None) -> Job:
        """The stored job. Raises `NoSuchJobError` also for an id that no job has."""
        try:
            return super().fetch(id, connection=connection)
        except (ValueError, ResponseError) as error:  # ResponseError: it is a list, say
            raise refused(id, error) from None

    @classmethod
    def fetch_many(
        cls, job_ids: Iterable[str], connection: Redis, serializer: object = None
    ) -> list[Job | None]:
        """The stored jobs, None for each that is not there or is none of ours."""
        jobs: list[Job | None] = []
        for id_ in job_ids:
            try:
                jobs.append(cls.fetch(id_, connection=connection))
            except NoSuchJobError:
                jobs.append(None)
        return jobs

    def restore(self, raw_data: Mapping[bytes | str, Any]) -> None:
        """Take over what is stored. Raises `NoSuchJobError` for what is not a job of ours."""
        try:
            fields = {as_text(name): value for name, value in raw_data.items() if value}
            fields.pop("exc_info", None)  # RQ writes it into a job that failed
            if strange := fields.keys() - FIELDS:
                raise ValueError(f"it carries {', '.join(sorted(strange))}")
            # RQ packs the data: so few bytes do not unfold into many.
            if sum(map(len, fields.values())) > MOST_BYTES:
                raise ValueError("it is too long")
            PortalSerializer.loads(fields.get("meta", b"{}"))
            super().restore(fields)
            PortalSerializer.loads(self.data)
            if self.origin not in names.QUEUES:
                raise ValueError("it belongs to no queue of ours")
        except Exception as error:  # whatever a stranger has thought of
            raise refused(self.id, error) from None


def refused(id_: str, error: Exception) -> NoSuchJobError:
    """Write the line about what is no job of ours."""
    words = " ".join(str(error).split())[:LONGEST_SHOWN]
    log.warning("Left out job %r, none of this portal's: %s", id_[:LONGEST_SHOWN], words)
    return NoSuchJobError("not a job of ours")
