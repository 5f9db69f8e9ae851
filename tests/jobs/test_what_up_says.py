"""The greeting and refusals of `flask up`, its plan, file limits, and the wait for Redis."""

import errno
import logging
import resource
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from jobs import process_setup, scheduler, worker
from jobs.supervisor import Plan, Program
from jobs.up import WEB, CannotStart, free_address, greet
from portal.config.settings import Settings, load_settings
from tests.conftest import ENVIRONMENT


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({**ENVIRONMENT, "INSTANCE_DIR": str(tmp_path)})


def test_the_greeting_has_the_address_the_setup_link_and_the_trial(
    settings: Settings,
) -> None:
    served = replace(settings, local_trial=False, base_url="https://portal.example.com")
    ready, end = "The portal is ready: https://portal.example.com", "Press Ctrl-C to stop."
    assert greet(served, None) == ["", ready, end, ""]
    link = "Open https://portal.example.com/x to create the first administrator."
    assert greet(served, "https://portal.example.com/x") == ["", ready, "", link, end, ""]
    trial = replace(served, local_trial=True)
    opens = "This is a local trial. Webhooks can reach programs on this machine."
    assert greet(trial, None)[2:4] == ["", opens]
    closed = replace(trial, webhook_allowed_networks=())
    assert greet(closed, None)[2:4] == ["", "This is a local trial."]


def test_a_plan_survives_its_json_form() -> None:
    program = Program("web", ["python", "-m", "x"], WEB, socket="/run/x")
    plan = Plan([program], "127.0.0.1", 8000, ["", "Hello"])
    assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.EADDRINUSE, ""), "Another program uses port 8000."),
        (OSError(errno.EADDRNOTAVAIL, ""), "HOST must be an address of this machine, not “here”."),
        (socket.gaierror(-2, ""), "HOST must be an address of this machine, not “here”."),
        (UnicodeError("too long"), "HOST must be an address of this machine, not “here”."),
        (
            OSError(errno.ENODEV, "No such device"),
            "The portal can’t listen on here, port 8000 (No such device).",
        ),
        (OSError(errno.EACCES, ""), "Port 8000 needs more rights. Choose a PORT above 1023."),
    ],
)
def test_each_reason_not_to_listen_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, error: Exception, says: str
) -> None:
    def refuse(*_args: object, **_more: object) -> None:
        raise error

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    with pytest.raises(CannotStart) as raised:
        free_address("here", 8000)
    assert raised.value.message.startswith(says)


def test_the_limit_of_open_files_is_raised_up_to_the_hard_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    is_unlimited = before[1] == resource.RLIM_INFINITY
    beyond = 9000 if is_unlimited else before[1] + 1
    assert process_setup.OPEN_FILES == 65_536
    try:
        for soft, wanted, after in (
            (1024, 2000, 2000),
            (3000, 2000, 3000),
            (1024, beyond, beyond if is_unlimited else before[1]),
        ):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
            monkeypatch.setattr(process_setup, "OPEN_FILES", wanted)
            process_setup.raise_limit_of_open_files()
            assert resource.getrlimit(resource.RLIMIT_NOFILE) == (after, before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


class Time:
    """A clock whose sleep returns at once."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def test_the_wait_for_redis_lasts_a_minute_with_pauses_up_to_2_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    time = Time()
    monkeypatch.setattr(scheduler, "time", time)
    nobody = Redis.from_url(f"unix://{tmp_path}/nothing.sock", retry=None)
    with nobody as redis, pytest.raises(RedisError):
        scheduler.wait_for_redis(redis)
    assert 60 < time.now < 63
    assert time.pauses[:6] == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0]
    assert set(time.pauses[5:]) == {2.0}
    assert len(caplog.records) == len(time.pauses) - 6


def test_redis_errors_are_logged_once_a_minute_and_all_others_in_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    time, quiet = Time(), worker.QuietFilter()
    monkeypatch.setattr(worker, "monotonic", time.monotonic)

    def told(*args: object, raised: Exception | None = None) -> str | None:
        values = {"msg": "Failed: %s", "args": args, "exc_info": raised and (type(raised), raised)}
        record = logging.makeLogRecord(values)
        if not quiet.filter(record):
            return None
        return record.getMessage() + (" and its stack" if record.exc_info else "")

    gone, broken = RedisError("gone"), ValueError("broken")
    once = "Redis is in trouble: gone"
    assert [told(gone), told("here", gone), told("here", raised=gone)] == [once, None, None]
    time.now = 59.9
    assert told(gone) is None
    time.now = 60.0
    assert [told("here", raised=gone), told(gone)] == [once, None]
    assert told(broken, raised=broken) == "Failed: broken and its stack"
    assert told("here") == "Failed: here"
