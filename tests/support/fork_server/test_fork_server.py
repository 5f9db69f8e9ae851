"""What the fork server starts is, but for its imports, as if Python had been started for it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.clocks.wrong_clock import wrong_clock
from tests.support.fork_server import client
from tests.support.fork_server.client import ROOT
from tests.support.fork_server.forked_process import ForkedProcess
from tests.support.processes import is_alive, until

PORTRAIT = ["-m", "tests.support.fork_server.self_portrait", "one", "two"]
ENVIRON = {"PATH": os.environ["PATH"], "TZ": "Asia/Tokyo", "WORD": "ä\n"}


def forked_with(folder: Path, *arguments: str, **more: str) -> ForkedProcess:
    with (folder / "output.txt").open("ab") as file:
        return client.start(arguments, ENVIRON | more, file.fileno())


@pytest.mark.parametrize("ahead", [0, 7200])
def test_it_sees_of_itself_what_a_started_one_sees(tmp_path: Path, ahead: int) -> None:
    output, environ = tmp_path / "output.txt", ENVIRON | wrong_clock(ahead)
    seen: list[dict[str, Any]] = []
    with output.open("ab") as file:
        words, nothing = [sys.executable, *PORTRAIT], subprocess.DEVNULL
        started = subprocess.run(
            words, cwd=ROOT, env=environ, stdin=nothing, stdout=file, stderr=file
        )
    seen.append(json.loads(output.read_text()))
    output.write_text("")
    forked = forked_with(tmp_path, *PORTRAIT, **wrong_clock(ahead))
    assert (forked.wait(20), started.returncode) == (3, 3)
    seen.append(json.loads(output.read_text()))
    assert seen[0] == seen[1]
    assert (seen[0]["parent"], seen[0]["ahead"]) == (os.getpid(), ahead)
    assert seen[0]["environ"]["WORD"] == "ä\n"


def of_a_supervised(started: subprocess.Popen[bytes] | ForkedProcess, output: Path) -> Any:
    """What a program of this supervisor sees of itself, without what each has of its own."""
    try:
        assert until(lambda: "portrait ended (code 3)" in output.read_text(), 20)
    finally:
        started.send_signal(signal.SIGTERM)
    assert started.wait(20) == 0
    lines = output.read_text().split("portrait ended")[0].splitlines()
    told = json.loads("".join(line.removeprefix("portrait") for line in lines))
    assert told.pop("parent") == started.pid
    assert told.pop("group") != os.getpgrp()
    told["handles"] = [handle.split(":")[0] for handle in told["handles"]]
    # The first Python names its encoding to the others, for which they need no mode.
    told["flags"] = re.sub(r"utf8_mode=\d", "", told["flags"])
    return told


def test_so_does_one_that_a_supervisor_starts(tmp_path: Path) -> None:
    words, nothing = ["-m", "tests.support.fork_server.sample_supervisor"], subprocess.DEVNULL
    output = tmp_path / "started.txt"
    with output.open("wb") as file:
        command = [sys.executable, *words]
        started = subprocess.Popen(
            command, cwd=ROOT, env=ENVIRON, stdin=nothing, stdout=file, stderr=file
        )
    expected = of_a_supervised(started, output)
    assert expected["leads"]
    assert expected["Umask"] == "0027"
    assert of_a_supervised(forked_with(tmp_path, *words), tmp_path / "output.txt") == expected


def test_a_supervisor_that_ends_before_it_is_one_ends_as_it_would(tmp_path: Path) -> None:
    made = forked_with(tmp_path, "-m", "flask", "--app", "wsgi", "up", SECRET_KEY="short")
    assert made.wait(20) == 2
    assert (tmp_path / "output.txt").read_text().startswith("SECRET_KEY must be set")


def test_it_is_waited_for_and_ended_as_a_started_one(tmp_path: Path) -> None:
    made = forked_with(tmp_path, "-m", "http.server", "--bind", "127.0.0.1", "0")
    began = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        made.wait(0.2)
    assert time.monotonic() - began >= 0.2
    assert made.poll() is None
    made.kill()
    assert made.wait(20) == -signal.SIGKILL
    assert made.poll() == made.returncode == -signal.SIGKILL
    assert not Path(f"/proc/{made.pid}").exists()
    made.send_signal(signal.SIGTERM)  # to nobody


def test_one_server_serves_a_process_and_ends_when_that_closes_it(tmp_path: Path) -> None:
    own = client.ForkServer()
    with (tmp_path / "output.txt").open("ab") as file:
        first = own.start(["-m", "this"], ENVIRON, file.fileno())
        second = own.start(["-m", "this"], ENVIRON, file.fileno())
    assert (first.wait(20), second.wait(20)) == (0, 0)
    assert first.pid != second.pid
    assert (tmp_path / "output.txt").read_text().count("Now is better than never.") == 2
    server = own._server.pid
    assert is_alive(server)
    own.close()
    assert until(lambda: not is_alive(server), 10)


def test_what_does_something_before_it_imports_is_started() -> None:
    for arguments, environ, is_forked in (
        (("-m", "jobs", "scheduler"), {}, True),
        (("-m", "flask", "--app", "wsgi", "up"), {"TZ": "UTC"}, True),
        (("-m", "tests.support.receiver"), {}, False),
        (("-c", "jobs"), {}, False),
        (("-m", "jobs"), wrong_clock(300), True),
        (("-m", "jobs"), {"PYTHONPATH": "elsewhere"}, False),
        (("-m", "jobs"), {"COVERAGE_PROCESS_START": "x"}, False),
        (("-m", "jobs"), {"LD_PRELOAD": "x"}, False),
        (("-m", "jobs"), {"SSLKEYLOGFILE": "x"}, False),
    ):
        assert client.can_start(arguments, environ) is (is_forked and sys.platform == "linux"), (
            arguments
        )
