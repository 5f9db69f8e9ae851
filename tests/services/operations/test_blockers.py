"""The process that writes to SQLite's file, read from the kernel's list of locks."""

import os
import subprocess
from pathlib import Path

import pytest

from portal.services.operations import health
from portal.services.operations.health import Blocker, writer_of
from tests.support.processes import command_line, until


class Locks:
    """A list of kernel locks, and a database whose locks can be in it."""

    def __init__(self, folder: Path) -> None:
        self.url, self.list = f"sqlite:///{folder}/portal.sqlite", folder / "locks"
        file = folder / "portal.sqlite-shm"
        file.touch()
        status = os.stat(file)
        device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
        self.place, self.another = f"{device}:{status.st_ino}", f"{device}:{status.st_ino + 1}"

    def writers(self, *lines: str) -> list[int]:
        """Return the pids of the writers found among these locks."""
        filled = [line.format(place=self.place, another=self.another) for line in lines]
        self.list.write_text("".join(f"{number}: {line}\n" for number, line in enumerate(filled)))
        return [blocker.pid for blocker in writer_of(self.url)]


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Locks:
    made = Locks(tmp_path)
    monkeypatch.setattr(health, "LOCKS", made.list)
    return made


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("POSIX  ADVISORY  WRITE 4711 {place} 120 120", [4711]),
        ("POSIX  ADVISORY  WRITE 4711 {place} 100 120", [4711]),
        ("POSIX  ADVISORY  WRITE 4711 {place} 120 EOF", [4711]),
        # The process is in another container.
        ("POSIX  ADVISORY  WRITE -1 {place} 120 120", [0]),
        ("POSIX  ADVISORY  READ 4711 {place} 120 120", []),
        ("FLOCK  ADVISORY  WRITE 4711 {place} 120 120", []),
        ("POSIX  ADVISORY  WRITE 4711 {another} 120 120", []),
        ("POSIX  ADVISORY  WRITE 4711 {place} 121 128", []),
        ("POSIX  ADVISORY  WRITE 4711 {place} 100 119", []),
        # A process that waits for the lock.
        ("-> POSIX  ADVISORY  WRITE 4711 {place} 120 120", []),
        ("POSIX  ADVISORY  WRITE", []),
        ("", []),
    ],
)
def test_the_writer_is_the_process_that_locks_the_write_byte(
    locks: Locks, line: str, found: list[int]
) -> None:
    assert locks.writers(line) == found


def test_at_most_one_writer_is_found_and_named_by_its_command(locks: Locks) -> None:
    line = "POSIX  ADVISORY  WRITE {pid} {{place}} 120 120"
    assert locks.writers(line.format(pid=os.getpid()), line.format(pid=1)) == [os.getpid()]
    (own,) = writer_of(locks.url)
    assert own.doing.startswith(Path("/proc/self/cmdline").read_bytes().split(b"\0")[0].decode())
    assert (own.who, own.seconds) == ("", None)
    locks.writers(line.format(pid=2**30))
    assert writer_of(locks.url) == [Blocker(2**30, "", "")]


def test_a_long_command_is_cut_to_120_characters(locks: Locks) -> None:
    command = ["sleep", "60", *["1"] * 90]
    with subprocess.Popen(command) as sleeping:
        # The kernel lists a new process a moment before its command line.
        assert until(lambda: command_line(sleeping.pid) == " ".join(command))
        locks.writers(f"POSIX  ADVISORY  WRITE {sleeping.pid} {{place}} 120 120")
        (blocker,) = writer_of(locks.url)
        sleeping.kill()
    assert blocker.doing == " ".join(command)[:120]


def test_without_a_list_or_a_file_no_writer_is_found(locks: Locks) -> None:
    assert writer_of(locks.url) == []
    assert locks.writers("POSIX  ADVISORY  WRITE 4711 {place} 120 120") == [4711]
    assert writer_of(f"{locks.url}x") == []
