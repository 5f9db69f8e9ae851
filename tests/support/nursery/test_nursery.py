"""What the nursery raises is in everything but its imports as if Python had been started for it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.nursery import nursery
from tests.support.nursery.forked_process import ForkedProcess
from tests.support.nursery.nursery import ROOT
from tests.support.processes import is_alive, until

PORTRAIT = ["-m", "tests.support.nursery.self_portrait", "one", "two"]
ENVIRON = {"PATH": os.environ["PATH"], "TZ": "Asia/Tokyo", "WORD": "ä\n"}


def raised(folder: Path, *arguments: str) -> ForkedProcess:
    with (folder / "output.txt").open("ab") as file:
        return nursery.start(arguments, ENVIRON, file.fileno())


def test_it_sees_of_itself_what_a_started_one_sees(tmp_path: Path) -> None:
    output = tmp_path / "output.txt"
    seen: list[dict[str, Any]] = []
    with output.open("ab") as file:
        words, nothing = [sys.executable, *PORTRAIT], subprocess.DEVNULL
        started = subprocess.run(
            words, cwd=ROOT, env=ENVIRON, stdin=nothing, stdout=file, stderr=file
        )
    seen.append(json.loads(output.read_text()))
    output.write_text("")
    forked = raised(tmp_path, *PORTRAIT)
    assert (forked.wait(20), started.returncode) == (3, 3)
    seen.append(json.loads(output.read_text()))
    assert seen[0] == seen[1]
    assert seen[0]["parent"] == os.getpid()
    assert seen[0]["environ"]["WORD"] == "ä\n"


def test_it_is_waited_for_and_ended_as_a_started_one(tmp_path: Path) -> None:
    made = raised(tmp_path, "-m", "http.server", "--bind", "127.0.0.1", "0")
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


def test_one_nursery_serves_a_process_and_ends_when_that_closes_it(tmp_path: Path) -> None:
    own = nursery.Nursery()
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


@pytest.mark.parametrize(
    ("arguments", "environ", "is_raised"),
    [
        (("-m", "jobs", "scheduler"), {}, True),
        (("-m", "flask", "--app", "wsgi", "up"), {"TZ": "UTC"}, True),
        (("-m", "tests.jobs.processes.sample_worker"), {}, False),
        (("-c", "jobs"), {}, False),
        (("-m", "jobs"), {"PYTHONPATH": "a clock that is wrong"}, False),
        (("-m", "jobs"), {"COVERAGE_PROCESS_START": "x"}, False),
        (("-m", "jobs"), {"LD_PRELOAD": "x"}, False),
        (("-m", "jobs"), {"SSLKEYLOGFILE": "x"}, False),
    ],
)
def test_what_does_something_before_it_imports_is_started(
    arguments: tuple[str, ...], environ: dict[str, str], is_raised: bool
) -> None:
    assert nursery.raises(arguments, environ) is (is_raised and sys.platform == "linux")
