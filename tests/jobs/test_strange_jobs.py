"""A stranger with write access to Redis can wake the workers but can't make them run code."""

import json
import os
import pickle
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from redis import Redis
from rq import Queue
from rq.callbacks import Callback
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.webhook import Webhook
from rq_scheduler import Scheduler

from portal.queue.names import DELIVERIES, MAINTAIN
from portal.queue.portal_job import PortalJob
from portal.queue.schedule import ENTRIES
from tests.conftest import ENVIRONMENT, migrate_to_head
from tests.support.processes import Process, until
from tests.support.receiver import Receiver
from tests.support.valkey import PrivateValkey

QUEUE: Final = f"rq:queue:{DELIVERIES}"
CALLED: Final = "tests.jobs.worker.sample_jobs.called"
HOOKS: Final = ("on_success", "on_failure", "on_stopped")


class Pickled:
    """A pickle that creates a folder when it is read."""

    def __init__(self, note: Path) -> None:
        self._note = note

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.mkdir, (str(self._note),)  # type: ignore[return-value]


class Attack:
    """A stranger's access to Redis, with a job ID. `note` exists if the attack succeeds."""

    def __init__(self, redis: Redis, note: Path, receiver: Receiver, name: str) -> None:
        self.redis, self.note, self.receiver = redis, note, receiver
        self.id = name

    def queue(self, fields: dict[str, object], id_: str = "") -> None:
        """Queue a job as the portal writes it, with these fields."""
        self.store(fields, id_ or self.id)
        self.redis.rpush(QUEUE, id_ or self.id)

    def store(self, fields: dict[str, object], id_: str = "") -> None:
        """Store the job without queueing it."""
        job = PortalJob.create(
            MAINTAIN, id=id_ or self.id, connection=self.redis, origin=DELIVERIES
        )
        job.result_ttl = 0
        job.save()
        for name, value in fields.items():
            self.redis.hset(job.key, name, value)  # type: ignore[arg-type]


def a_pickled_function(attack: Attack) -> None:
    data = pickle.dumps((CALLED, None, (), {}))
    attack.queue({"data": data})


def a_pickle_in_its_meta(attack: Attack) -> None:
    attack.queue({"meta": pickle.dumps(Pickled(attack.note))})


def a_named_function_as_json(attack: Attack) -> None:
    Queue(DELIVERIES, connection=attack.redis, serializer=JSONSerializer).enqueue(
        CALLED, job_id=attack.id
    )


def a_list_in_the_place_of_a_job(attack: Attack) -> None:
    attack.redis.rpush(f"rq:job:{attack.id}", "no job")
    attack.redis.rpush(QUEUE, attack.id)


def callbacks(attack: Attack) -> None:
    names = ("success_callback_name", "failure_callback_name", "stopped_callback_name")
    attack.queue(dict.fromkeys(names, CALLED))


def the_callback_of_a_job_that_was_left_behind(attack: Attack) -> None:
    attack.store({"failure_callback_name": CALLED, "status": "started"})
    attack.redis.zadd(f"rq:wip:{DELIVERIES}", {f"{attack.id}:1": 1})


def webhooks(attack: Attack) -> None:
    hook = Webhook(attack.receiver.url, "finished", method="POST")
    attack.queue({"webhooks": json.dumps([hook.to_dict()])})


def a_dependent(attack: Attack) -> None:
    data = pickle.dumps((CALLED, None, (), {}))
    attack.store({"data": data, "status": "deferred", "dependency_ids": '["first"]'})
    attack.redis.sadd("rq:job:first:dependents", attack.id)
    attack.queue({}, "first")


def repeats_and_retries(attack: Attack) -> None:
    attack.queue(
        {
            "repeats_left": 9,
            "repeat_intervals": "[3600]",
            "retries_left": 9,
            "group_id": "theirs",
            "rate_limit_key": "theirs",
            "rate_limit_concurrency": 1,
        }
    )


def a_foreign_name_on_the_schedule(attack: Attack) -> None:
    scheduler = Scheduler(DELIVERIES, connection=attack.redis)
    hooks = {hook: Callback(CALLED) for hook in HOOKS[:2]}
    scheduler.schedule(datetime.now(UTC), CALLED, id=attack.id, interval=1, **hooks)


def a_class_named_on_the_schedule(attack: Attack) -> None:
    meta = pickle.dumps({"queue_class_name": CALLED, "interval": 1})
    attack.store({"meta": meta, "result_ttl": -1})
    attack.redis.zadd(ENTRIES, {attack.id: time.time()})


ATTACKS: Final = (
    a_pickled_function,
    a_pickle_in_its_meta,
    a_named_function_as_json,
    a_list_in_the_place_of_a_job,
    callbacks,
    the_callback_of_a_job_that_was_left_behind,
    webhooks,
    a_dependent,
    repeats_and_retries,
    a_foreign_name_on_the_schedule,
    a_class_named_on_the_schedule,
)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("database")
    url = f"sqlite:///{folder}/portal.sqlite"
    migrate_to_head(url, folder)
    return url


@pytest.fixture
def start(database: str, valkey: PrivateValkey, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []
    places = {
        "DATABASE_URL": database,
        "REDIS_URL": valkey.url,
        "NOTE": str(tmp_path / "note"),
        "INSTANCE_DIR": str(tmp_path / "instance"),
    }

    def start(*arguments: str) -> Process:
        output = tmp_path / f"{arguments[0]}.txt"
        started.append(Process(output, ("-m", "jobs", *arguments), {**ENVIRONMENT, **places}))
        return started[-1]

    yield start
    for process in started:
        process.close()


def test_each_attack_does_nothing_and_is_logged_in_one_line(
    start: Callable[..., Process], valkey: PrivateValkey, receiver: Receiver, tmp_path: Path
) -> None:
    redis, note = valkey.client(), tmp_path / "note"
    for attack in ATTACKS:
        attack(Attack(redis, note, receiver, f"strange-{attack.__name__}"))
    scheduler, worker = start("scheduler"), start("worker", DELIVERIES)
    said = [process.output for process in (scheduler, worker)]
    names = {f"strange-{attack.__name__}" for attack in ATTACKS}
    assert until(lambda: not untold(names, said)), untold(names, said)
    # Earlier jobs have had their turn once the scheduled maintenance has run.
    redis.delete("rq:results:maintenance")
    assert until(lambda: redis.exists("rq:results:maintenance") == 1), said[1].read_text()
    assert until(lambda: not names & {id_.decode() for id_ in redis.lrange(QUEUE, 0, -1)})
    scheduler.stop()
    worker.stop()
    assert not note.exists()
    assert receiver.received == []
    lines = [json.loads(line) for each in said for line in each.read_text().splitlines()]
    told = {line["message"] for line in lines if "this portal" in line["message"]}
    assert {name: sum(name in words for words in told) for name in names} == dict.fromkeys(names, 1)
    assert not [line for line in lines if "error" in line], lines
    assert not names & {id_.decode() for id_ in redis.zrange(ENTRIES, 0, -1)}
    assert redis.zcard(f"rq:scheduled:{DELIVERIES}") == 0
    assert redis.zscore(ENTRIES, "maintenance") is not None


def untold(names: set[str], said: list[Path]) -> set[str]:
    """Return the names that no output mentions yet."""
    words = "".join(each.read_text() for each in said)
    return {name for name in names if name not in words}


def test_a_job_id_that_is_not_text_is_skipped_and_the_worker_goes_on(
    start: Callable[..., Process], valkey: PrivateValkey
) -> None:
    redis = valkey.client()
    start("scheduler")
    worker = start("worker", DELIVERIES)
    assert until(lambda: redis.exists("rq:results:maintenance") == 1), worker.output.read_text()
    redis.lpush(QUEUE, b"\xff", b"\xfe")
    assert worker.says("Skipped a job whose ID is not text"), worker.output.read_text()
    redis.delete("rq:results:maintenance")
    assert until(lambda: redis.exists("rq:results:maintenance") == 1), worker.output.read_text()
    remaining = redis.lrange(QUEUE, 0, -1) + redis.lrange(f"{QUEUE}:intermediate", 0, -1)
    assert not {b"\xff", b"\xfe"} & set(remaining)
    assert worker.stop() == 0


def test_jobs_of_the_previous_version_are_replaced(
    start: Callable[..., Process], valkey: PrivateValkey
) -> None:
    """They are pickles, so they are skipped and the schedule is rewritten."""
    redis = valkey.client()
    Queue(DELIVERIES, connection=redis).enqueue_call("jobs.deliver.deliver_due", ttl=900)
    Scheduler(DELIVERIES, connection=redis).schedule(
        datetime.now(UTC), MAINTAIN, interval=1, id="maintenance", queue_name=DELIVERIES
    )
    assert Job.fetch("maintenance", connection=redis).func_name == MAINTAIN
    start("scheduler")
    worker = start("worker", DELIVERIES)
    assert until(lambda: redis.exists("rq:results:maintenance") == 1), worker.output.read_text()
    assert PortalJob.fetch("maintenance", connection=redis).func_name == MAINTAIN
    assert worker.stop() == 0
