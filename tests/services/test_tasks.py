"""Long tasks do each row once despite kills, have one worker at a time, and can be stopped."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from redis import Redis
from rq import Queue
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from jobs import tasks as job
from jobs.periodic import maintain
from jobs.stop_flag import stop
from portal.database.engine import database_now
from portal.extensions import db
from portal.models.people import Role
from portal.models.tasks import Task, TaskState
from portal.queue import names, notifier
from portal.services import tasks
from portal.services import tasks as task_leases
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import NotAllowed, Refusal
from portal.services.core.unit_of_work import writing
from portal.services.tasks import Kind, Step
from tests.support.database.periodic_tasks import let_periodic_tasks_age
from tests.support.database.rivals import at_once
from tests.support.factories import make_user
from tests.support.servers import ValkeyServer

Do = Callable[[int], None]


def no_trouble(_number: int) -> None:
    """Accept every row."""


class Counting:
    """A task that counts to its total. `seen` lists the rows whose transaction was committed."""

    def __init__(self, do: Do = no_trouble) -> None:
        self.do = do
        self.steps = 0
        self.ended = 0
        self.kind = Kind(
            name="counting", permission="assets.edit", step=self.step, ended=self.clear_up
        )

    def step(self, current: Session, task: Task) -> Step:
        self.steps += 1
        for number in tasks.few(range(task.cursor.get("next", 0), task.total)):
            self.do(number)
            task.count("counted")
            task.cursor = {"next": number + 1}
            task.params = {**task.params, "seen": [*task.params.get("seen", []), number]}
        return tasks.DONE if task.done == task.total else tasks.MORE

    def clear_up(self, _current: Session, _task: Task) -> None:
        self.ended += 1

    def work(self, seconds: float = 20.0) -> None:
        job.work({"counting": self.kind}, seconds)


NO_KIND = Kind(name="counting", permission="assets.edit", step=lambda *_: tasks.DONE)


def start(total: int = 60) -> Task:
    with writing() as current:
        return tasks.start(current, SYSTEM, "counting", total=total)


def fresh(task: Task) -> Task:
    db.session.rollback()
    return db.session.execute(
        select(Task).where(Task.id == task.id), execution_options={"populate_existing": True}
    ).scalar_one()


def be_due(**values: object) -> None:
    with writing() as current:
        current.execute(update(Task).values(**{"due_at": Task.created_at, **values}))


@pytest.fixture
def redis(app: Flask, valkey_server: ValkeyServer) -> Redis:
    return valkey_server.client()


def queued(redis: Redis) -> int:
    return len(Queue(names.BACKGROUND, connection=redis).get_job_ids())


def test_a_task_runs_in_short_transactions_until_it_is_done(app: Flask) -> None:
    task, counting = start(60), Counting()
    counting.work()
    done = fresh(task)
    assert (done.state, done.done, done.counts) == (TaskState.DONE, 60, {"counted": 60})
    assert done.params["seen"] == list(range(60))
    assert counting.steps >= 3
    assert done.finished_at is not None
    assert (done.lease_token, done.lease_until, done.run) == (None, None, None)
    assert task_leases.claim() is None


def test_a_start_notifies_after_the_commit_and_the_job_clears_the_latch(redis: Redis) -> None:
    with writing() as current:
        tasks.start(current, SYSTEM, "unknown", total=1)
        assert queued(redis) == 0
    assert queued(redis) == 1
    assert 20 < redis.ttl(notifier.TASKS_QUEUED) <= 30
    job.run_tasks()
    assert not redis.exists(notifier.TASKS_QUEUED)


def test_an_unknown_kind_fails_with_a_sentence_and_blocks_no_other(app: Flask) -> None:
    with writing() as current:
        task = tasks.start(current, SYSTEM, "unknown", total=1)
    other = start()
    Counting().work()
    assert (fresh(task).state, fresh(task).error) == (TaskState.FAILED, task_leases.GIVEN_UP)
    assert fresh(other).state == TaskState.DONE


def test_maintenance_notifies_only_for_due_tasks(redis: Redis) -> None:
    maintain()
    assert queued(redis) == 0
    start()
    redis.flushall()
    for _ in range(2):
        let_periodic_tasks_age(10)
        maintain()
    assert queued(redis) == 1


def killed_at(row: int) -> Do:
    def die(number: int) -> None:
        if number == row:
            raise KeyboardInterrupt

    return die


def test_a_killed_task_resumes_and_does_each_row_once(app: Flask) -> None:
    task = start(60)
    with pytest.raises(KeyboardInterrupt):
        Counting(killed_at(40)).work()
    left = fresh(task)
    assert left.state == TaskState.RUNNING
    assert 1 <= left.done <= 40
    assert task_leases.claim() is None
    be_due(lease_until=Task.created_at)
    Counting().work()
    assert fresh(task).params["seen"] == list(range(60))


def test_a_worker_that_returns_after_its_lease_finds_the_task_taken(app: Flask) -> None:
    task, counting = start(60), Counting()
    late = task_leases.claim()
    assert late is not None
    be_due(lease_until=Task.created_at)
    other = task_leases.claim()
    assert other is not None
    assert task_leases.advance(late, counting.kind) is False
    task_leases.release(late)
    assert task_leases.advance(other, counting.kind) is True
    assert fresh(task).params["seen"] == list(range(fresh(task).done))


def test_two_workers_at_once_do_each_row_once(app: Flask) -> None:
    started = [start(40) for _ in range(3)]

    at_once(app, [Counting().work, Counting().work])
    for task in started:
        assert fresh(task).state == TaskState.DONE
        assert fresh(task).params["seen"] == list(range(40))


def break_down(_number: int) -> None:
    raise ZeroDivisionError


def test_an_error_is_retried_later_and_given_up_after_five_leases(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    task, counting = start(), Counting(break_down)
    waits = []
    for number in range(1, 6):
        be_due()
        counting.work()
        assert (counting.steps, fresh(task).state) == (number, TaskState.RUNNING)
        waits.append(fresh(task).due_at - database_now(db.session.connection()))
    assert waits == sorted(waits)
    assert waits[0] < timedelta(seconds=3) < timedelta(seconds=20) < waits[4]
    be_due()
    counting.work()
    assert (counting.steps, counting.ended) == (task_leases.MOST_FAILURES, 1)
    assert (fresh(task).state, fresh(task).error) == (TaskState.FAILED, task_leases.GIVEN_UP)
    records, public_id = (
        [record for record in caplog.records if record.name == job.log.name],
        task.public_id,
    )
    assert [record.getMessage() for record in records] == [
        *[f"Task {public_id} (counting) failed. It will be tried again."] * 5,
        f"Gave up task {public_id} (counting).",
    ]
    assert [bool(record.exc_info) for record in records] == [True] * 5 + [False]


def test_a_restarted_task_starts_at_once_from_scratch(redis: Redis) -> None:
    task, lease = start(), task_leases.claim()
    assert lease is not None  # it ends while a worker has it
    later = database_now(db.session.connection()) + timedelta(hours=1)
    with writing() as current:
        tasks.end(current, tasks.locked(current, task.public_id), NO_KIND, TaskState.FAILED, "Bad")
    progress = {"cursor": {"next": 9}, "counts": {"counted": 9}, "done": 9, "failures": 5}
    be_due(due_at=later, stopped_by="Ana", **progress)
    redis.flushall()  # the start has already notified
    with writing() as current:
        tasks.begin_again(current, tasks.locked(current, task.public_id))
    restarted = fresh(task)
    assert (restarted.state, restarted.done, restarted.failures) == (TaskState.RUNNING, 0, 0)
    assert (restarted.cursor, restarted.counts, restarted.error) == ({}, {}, "")
    assert (restarted.stopped_by, restarted.finished_at, queued(redis)) == (None, None, 1)
    Counting().work()
    assert fresh(task).params["seen"] == list(range(60))


def test_occasional_errors_are_forgiven(app: Flask) -> None:
    task, start_times = start(200), set()
    for _ in range(8):
        be_due()
        lease = task_leases.claim()
        assert lease is not None
        assert lease.failures == 1
        start_times.add(fresh(task).started_at)
        task_leases.advance(lease, Counting().kind)
        task_leases.release(lease)
    assert (fresh(task).failures, len(start_times)) == (0, 1)


def test_a_long_task_lets_another_have_a_turn(app: Flask) -> None:
    long, short = start(500), start(1)
    lease = task_leases.claim()
    assert lease is not None
    assert lease.task_id == long.id
    task_leases.advance(lease, Counting().kind)
    task_leases.release(lease)
    lease = task_leases.claim()
    assert lease is not None
    assert lease.task_id == short.id


def test_a_worker_shares_its_time_among_due_tasks(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "LEASE_SECONDS", 0.0)
    long, short, counting = start(60), start(1), Counting()
    counting.work(seconds=0.0)
    assert counting.steps == 0
    counting.work()
    first, last = fresh(short).finished_at, fresh(long).finished_at
    assert first
    assert last
    assert first < last


def test_a_turn_goes_on_for_a_while_although_others_wait(app: Flask) -> None:
    del app
    long, short, counting = start(60), start(1), Counting()
    counting.work()
    first, last = fresh(long).finished_at, fresh(short).finished_at
    assert first
    assert last
    assert first < last


def test_work_left_by_a_stopping_worker_is_notified_at_once(redis: Redis) -> None:
    task, stopping = start(), Counting(lambda _: stop.set())
    stopping.work()
    assert (stopping.steps, fresh(task).lease_token) == (1, None)
    for is_stopping in (True, False):
        redis.flushall()
        if is_stopping:
            stop.set()
        job.run_tasks()  # it fails tasks of unknown kinds
        stop.clear()
        assert queued(redis) == int(is_stopping)


def test_a_task_can_wait_pause_and_resume(app: Flask) -> None:
    task = start()
    steps = iter([tasks.later(timedelta(hours=1)), tasks.PAUSED, tasks.DONE])
    kind = Kind(name="counting", permission="assets.edit", step=lambda *_: next(steps))
    job.work({"counting": kind})
    waits = fresh(task).due_at - database_now(db.session.connection())
    assert (fresh(task).state, round(waits / timedelta(hours=1), 1)) == (TaskState.RUNNING, 1.0)
    assert task_leases.claim() is None
    be_due()
    job.work({"counting": kind})
    assert fresh(task).state == TaskState.PAUSED
    be_due()
    assert not task_leases.has_due()
    be_due(state=TaskState.RUNNING)
    job.work({"counting": kind})
    assert fresh(task).state == TaskState.DONE


def test_stopping_keeps_finished_rows_and_does_no_more(app: Flask) -> None:
    task, counting, ana = start(100), Counting(), make_user(Role.MANAGER, name="Ana")
    lease = task_leases.claim()
    assert lease is not None
    task_leases.advance(lease, counting.kind)
    done = fresh(task).done
    tasks.stop(ana.actor, task.public_id, counting.kind)
    assert task_leases.advance(lease, counting.kind) is False
    counting.work()
    stopped = fresh(task)
    assert (stopped.state, stopped.stopped_by) == (TaskState.STOPPED, "Ana")
    assert (stopped.done, counting.ended) == (done, 1)
    with pytest.raises(Refusal, match="already ended"):
        tasks.stop(ana.actor, task.public_id, counting.kind)


def test_an_ended_task_cannot_be_stopped(app: Flask) -> None:
    for state in (TaskState.DONE, TaskState.STOPPED, TaskState.FAILED):
        task, counting = start(), Counting()
        be_due(state=state)
        with pytest.raises(Refusal, match="already ended"):
            tasks.stop(SYSTEM, task.public_id, counting.kind)
        assert (fresh(task).state, counting.ended) == (state, 0), state


def test_stopping_takes_the_same_permission_as_starting(app: Flask) -> None:
    task, counting = start(), Counting()
    with pytest.raises(NotAllowed):
        tasks.stop(make_user(Role.SUPPORT).actor, task.public_id, counting.kind)
    assert fresh(task).state == TaskState.WAITING


def test_only_the_refused_row_is_undone(app: Flask) -> None:
    task = start()

    def rename_and_refuse() -> None:
        with writing() as current:
            current.execute(update(Task).values(error="half done"))
            raise Refusal("No.")

    with writing() as current:
        current.execute(update(Task).values(counts={"kept": 1}))
        refusal = tasks.refusal_of(current, rename_and_refuse)
    assert refusal is not None
    assert (fresh(task).error, fresh(task).counts) == ("", {"kept": 1})
