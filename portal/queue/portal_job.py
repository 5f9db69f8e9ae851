"""The only job that this portal writes and reads: one of its own functions, by its name.

Whoever can write to Redis chooses what a worker reads there. RQ's job unpickles it, imports what it
names and calls what it lists, before or after its work. Ours can only be one of `JOB_NAMES`,
without arguments: the most that a stranger's entry does is to have our own work done once more.
"""

import json
import logging
import re
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, Final, Self, cast

from redis import Redis
from redis.exceptions import ResponseError
from rq.exceptions import NoSuchJobError
from rq.intermediate_queue import IntermediateQueue
from rq.job import Job, parse_job_id
from rq.queue import Queue

from portal.lib import request_id
from portal.queue import names
from portal.queue.names import QUEUES

log = logging.getLogger(__name__)

MOST_BYTES: Final = 4096  # of a whole job; one of ours has some 700
INTERVAL: Final = "interval"  # where rq-scheduler keeps how often a job comes again
LONGEST_SHOWN: Final = 80  # characters of a stranger's words in the log

_REQUEST_ID: Final = re.compile(r"[0-9a-f]{1,32}")
_KEPT: Final = frozenset(
    {
        *("data", "meta", "origin", "status", "description", "worker_name"),
        *("timeout", "ttl", "result_ttl", "failure_ttl", "enqueue_at_front"),
        *("created_at", "enqueued_at", "started_at", "ended_at", "last_heartbeat"),
    }
)
_NOT_WORTH_A_LINE: Final = frozenset({"exc_info"})  # RQ writes it into a job that failed


class PortalSerializer:
    """Data is a name, meta is JSON of a request's id and an interval; a result is not kept."""

    @staticmethod
    def dumps(value: object, /) -> bytes:
        """The bytes of a job's data or meta. Raises ValueError for what no job of ours has."""
        if isinstance(value, dict):
            if _clean_meta(value) != value:
                raise ValueError(f"a job of ours has no such meta: {sorted(value)}")
            return json.dumps(value, separators=(",", ":")).encode()
        if isinstance(value, tuple):
            name, instance, args, kwargs = value
            if name not in names.JOB_NAMES or instance is not None or args or kwargs:
                raise ValueError(f"not a job of ours: {name}")
            return str(name).encode()
        return b""

    @staticmethod
    def loads(data: bytes, /) -> Any:
        """What `dumps` was given. Raises ValueError for any other bytes."""
        if data[:1] == b"{":
            return _clean_meta(json.loads(data))
        name = data.decode()
        if name not in names.JOB_NAMES:
            raise ValueError("not the name of a job of ours")
        return name, None, (), {}


class PortalJob(Job):
    """A job whose stored form can name one of our functions, and nothing else.

    What cannot be one is no job: `NoSuchJobError`, which RQ passes over, and a line in the log.
    """

    def __init__(
        self, id: str | None = None, connection: Redis | None = None, serializer: object = None
    ) -> None:
        super().__init__(id, connection=connection)
        self.serializer = PortalSerializer  # whichever one RQ hands on
        self.left_out: tuple[str, ...] = ()  # what was stored with it and not taken over

    @classmethod
    def fetch(cls, id: str, connection: Redis | None = None, serializer: object = None) -> Self:
        """The stored job. Raises `NoSuchJobError` also for an id that no job has."""
        try:
            made = cls(parse_job_id(id), connection=connection)
        except ValueError as error:
            log.warning("Left out a job with an odd id: %r.", id[:LONGEST_SHOWN])
            raise NoSuchJobError(str(error)) from None
        try:
            made.refresh()  # type: ignore[no-untyped-call]  # untyped in RQ
        except ResponseError as error:  # a list, say, in the place of a job
            log.warning("Left out job %s, none of this portal's: %s", id, _shown(str(error)))
            raise NoSuchJobError(str(error)) from None
        return made

    @classmethod
    def fetch_many(
        cls, job_ids: Iterable[str], connection: Redis, serializer: object = None
    ) -> list[Job | None]:
        """The stored jobs, None for each that is not there or is none of ours."""
        return [_fetched_or_none(cls, id_, connection) for id_ in job_ids]

    def restore(self, raw_data: Mapping[bytes | str, Any]) -> None:
        """Take over what is stored, and of it only what this portal writes.

        Raises `NoSuchJobError` for what is not a job of ours.
        """
        left_out: list[str] = []
        try:
            super().restore(_own_fields(raw_data, left_out))
        except Exception as error:  # whatever a stranger has thought of
            log.warning("Left out job %s, none of this portal's: %s", self.id, _shown(str(error)))
            raise NoSuchJobError(f"not a job of ours: {self.id}") from None
        self.left_out = tuple(sorted(left_out))
        if left_out:
            what = _shown(", ".join(self.left_out))
            log.warning("Job %s carries what no job of this portal has: %s", self.id, what)


def remove_odd_ids(queue: Queue) -> None:
    """Take out of a queue what RQ cannot read as an id, and would end over each time anew."""
    redis = queue.connection
    for key in (queue.key, IntermediateQueue.get_intermediate_queue_key(queue.key)):
        for id_ in cast("list[bytes]", redis.lrange(key, 0, -1)):
            if id_ != id_.decode(errors="ignore").encode():
                redis.lrem(key, 0, cast("str", id_))
                log.warning("Left out a job with an odd id: %r.", id_[:LONGEST_SHOWN])


def put_back_untaken(queue: Queue) -> None:
    """Queue again what a worker took and ended before it began: RQ would call it failed after a
    minute, without a line in any log, though every job may run twice."""
    redis, taken = queue.connection, queue.intermediate_queue
    for id_ in taken.get_job_ids():
        if taken.should_be_cleaned_up(id_) and id_ not in queue.started_job_registry:
            with redis.pipeline() as at_once:
                at_once.lrem(taken.key, 0, id_)
                at_once.delete(taken.get_first_seen_key(id_))
                at_once.rpush(queue.key, id_)
                at_once.execute()


def _fetched_or_none(kind: type[PortalJob], id_: str, connection: Redis) -> Job | None:
    try:
        return kind.fetch(id_, connection=connection)
    except NoSuchJobError:
        return None


def _own_fields(stored: Mapping[bytes | str, Any], left_out: list[str]) -> dict[str, bytes]:
    """What of a stored job is kept; the names of the rest go into `left_out`."""
    fields = {
        name.decode() if isinstance(name, bytes) else name: value for name, value in stored.items()
    }
    kept = {name: value for name, value in fields.items() if name in _KEPT and value}
    left_out.extend(
        name
        for name, value in fields.items()
        if value and name not in _KEPT and name not in _NOT_WORTH_A_LINE
    )
    if sum(map(len, kept.values())) > MOST_BYTES:
        raise ValueError("it is too long")
    data = _unpacked(kept.get("data", b""))
    PortalSerializer.loads(data)
    if kept.get("origin", b"").decode() not in QUEUES:
        raise ValueError("it belongs to no queue of ours")
    meta = _readable_meta(kept.pop("meta", b""), left_out)
    return kept | {"data": data, "meta": meta}


def _unpacked(data: bytes) -> bytes:
    """RQ packs the data; what a stranger packed must not unfold without an end."""
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(data, MOST_BYTES)
    except zlib.error:
        return data
    if unpacker.unconsumed_tail:
        raise ValueError("it is too long")
    return unpacked


def _readable_meta(stored: bytes, left_out: list[str]) -> bytes:
    if not stored:
        return b""
    try:
        found = json.loads(stored)
        cleaned = _clean_meta(found)
    except (ValueError, TypeError, AttributeError, RecursionError):
        found, cleaned = None, {}
    if cleaned != found:
        left_out.append("meta")
    return PortalSerializer.dumps(cleaned)


def _clean_meta(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What a job of ours may say of itself: the request that asked for it, and how often it comes
    again."""
    return {name: value for name, value in meta.items() if _is_own(name, value)}


def _is_own(name: str, value: object) -> bool:
    if name == request_id.META:
        return isinstance(value, str) and _REQUEST_ID.fullmatch(value) is not None
    return name == INTERVAL and type(value) is int and value > 0


def _shown(words: str) -> str:
    return " ".join(words.split())[:LONGEST_SHOWN]
