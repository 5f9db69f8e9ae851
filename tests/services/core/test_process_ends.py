"""A run has ended as soon as its process has, in any way, and never before."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from flask import Flask

from portal.extensions import settings
from portal.services.core import heartbeats

# Another worker that takes its lock, reports it, and waits to be killed.
OTHER = """
import fcntl, os, sys
fcntl.flock(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600), fcntl.LOCK_EX)
print("taken", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def place(app: Flask) -> Iterator[Path]:
    """Return the folder of the lock files, which does not exist yet."""
    folder = settings().instance_dir / heartbeats.FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    yield folder
    folder.unlink() if folder.is_file() else shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def folder(place: Path) -> Path:
    place.mkdir()
    return place


@pytest.fixture
def other(folder: Path) -> Iterator[tuple[Path, "subprocess.Popen[str]"]]:
    """Start another run, and return its lock file and its process."""
    path = folder / str(uuid4())
    command = [sys.executable, "-c", OTHER, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "taken\n"
        yield path, running
        running.kill()


def over() -> list[Path]:
    with heartbeats.ended_processes() as ended:
        return [run.path for run in ended]


def test_a_killed_run_has_ended_until_its_lock_is_removed(
    other: tuple[Path, "subprocess.Popen[str]"],
) -> None:
    path, running = other
    assert over() == []
    running.kill()
    running.wait()
    assert over() == over() == [path]
    with heartbeats.ended_processes() as (run,):
        assert str(run.id) == path.name
        heartbeats.remove_lock(run)
        heartbeats.remove_lock(run)
    assert over() == []


def test_only_one_process_cleans_up_an_ended_run(folder: Path) -> None:
    (folder / str(uuid4())).touch()
    with heartbeats.ended_processes() as mine, heartbeats.ended_processes() as anothers:
        assert (len(mine), anothers) == (1, [])
    assert len(over()) == 1


def test_other_and_unreadable_files_hide_no_ended_run(folder: Path) -> None:
    (folder / "a note").touch()
    (folder / str(uuid4())).mkdir()
    ended = folder / str(uuid4())
    ended.touch()
    assert over() == [ended]


def test_a_process_holds_its_own_lock_under_its_name(folder: Path) -> None:
    own = folder / str(heartbeats.own_process())
    heartbeats.hold_lock()
    before = own.stat()
    heartbeats.hold_lock()
    assert own.stat() == before, "it is written once"
    assert list(folder.iterdir()) == [own]
    own.unlink()
    heartbeats.hold_lock()
    assert own.exists()
    assert over() == []
