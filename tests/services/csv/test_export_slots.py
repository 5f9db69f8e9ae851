"""Each person has two exports at a time, across processes and however a process ends."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from flask import Flask

from portal.extensions import settings
from portal.services.csv.export import FOLDER, MOST, TooManyExports, take_slot

ANA, BEN = 7, 8
# Another web process that takes both slots, reports it, and waits.
OTHER = """
import fcntl, os, sys
for path in sys.argv[1:]:
    fcntl.flock(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), fcntl.LOCK_EX)
print("taken", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other_process(app: Flask) -> Iterator[subprocess.Popen[str]]:
    folder = settings().instance_dir / FOLDER
    folder.mkdir(exist_ok=True)
    paths = [str(folder / f"{ANA}.{number}") for number in range(MOST)]
    running = subprocess.Popen(
        [sys.executable, "-c", OTHER, *paths],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with running:
        assert running.stdout is not None
        assert running.stdout.readline() == "taken\n"
        yield running
        running.kill()


def test_a_third_export_is_refused_until_one_has_ended(app: Flask) -> None:
    first, second = take_slot(ANA), take_slot(ANA)
    with pytest.raises(TooManyExports, match="You have 2 exports in progress") as refusal:
        take_slot(ANA)
    assert refusal.value.status == 429
    take_slot(BEN).release()
    first.release()
    first.release()
    third = take_slot(ANA)
    with pytest.raises(TooManyExports):
        take_slot(ANA)
    for slot in (second, third):
        slot.release()


def test_other_processes_count_and_a_killed_one_frees_its_slots(
    app: Flask, other_process: subprocess.Popen[str]
) -> None:
    with pytest.raises(TooManyExports):
        take_slot(ANA)
    other_process.send_signal(signal.SIGKILL)
    other_process.wait()
    take_slot(ANA).release()


def test_a_dropped_slot_is_free(app: Flask) -> None:
    for _ in range(3 * MOST):
        take_slot(ANA)  # dropped, as if the request ended without a release
