"""The whole portal on one machine starts with one command and leaves no process behind."""

import os
import shutil
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import certifi
import pytest

from jobs.up import environment
from portal.config.settings import load_settings
from portal.database.engine import sqlite_module
from tests.conftest import ENVIRONMENT
from tests.support.ports import free_port
from tests.support.processes import (
    Process,
    children_of,
    command_line,
    end_whatever_knows,
    is_alive,
    until,
)

UP = ("-m", "flask", "--app", "wsgi", "up")
Up = Callable[..., Process]


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def up(tmp_path: Path, port: int) -> Iterator[Up]:
    started: list[Process] = []
    environ = {
        "LOCAL_TRIAL": "1",
        "PORT": str(port),
        "INSTANCE_DIR": str(tmp_path / "instance"),
    }

    def up(**changes: str) -> Process:
        output = tmp_path / f"output{len(started)}.txt"
        started.append(Process(output, UP, environ | changes))
        return started[-1]

    yield up
    for process in started:
        process.close()
    end_whatever_knows(tmp_path)


def status_of(port: int) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/sign-in", timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def only(children: dict[int, str], words: str) -> int:
    pids = [pid for pid, line in children.items() if words in line]
    assert len(pids) == 1, children
    return pids[0]


def parts(children: dict[int, str]) -> list[str]:
    names = ("valkey-server", "gunicorn", "worker deliveries", "worker background", "scheduler")
    return sorted(name for line in children.values() for name in names if name in line)


ALL = sorted(
    ["valkey-server", *["gunicorn"] * 3, "worker deliveries", "worker background", "scheduler"]
)


def test_flask_up_starts_heals_ends_cleanly_and_starts_again(
    up: Up, port: int, tmp_path: Path
) -> None:
    portal = up()
    assert portal.says("Press Ctrl-C to stop."), portal.output.read_text()
    assert f"The portal is ready: http://127.0.0.1:{port}\n" in portal.output.read_text()
    assert "This is a local trial" in portal.output.read_text()
    assert until(lambda: parts(children_of(portal.pid)) == ALL)
    assert status_of(port) < 500

    for name in ("portal.sqlite", "up.lock", "keys.env", "valkey.log"):
        assert (tmp_path / "instance" / name).stat().st_mode & 0o077 == 0, "for this user alone"

    for words in ("worker deliveries", "scheduler", "valkey-server"):
        os.kill(only(children_of(portal.pid), words), signal.SIGKILL)
        assert portal.says(f"{words.split('-')[0].split()[-1]} ended (code -9)"), words
        assert until(lambda: parts(children_of(portal.pid)) == ALL), words

    children = children_of(portal.pid)
    assert portal.stop(signal.SIGINT, 40) == 0
    assert not [pid for pid in children if is_alive(pid)]

    keys = (tmp_path / "instance" / "keys.env").read_text()
    again = up()
    assert again.says("Press Ctrl-C to stop."), again.output.read_text()
    assert (tmp_path / "instance" / "keys.env").read_text() == keys
    assert_nothing_survives_when_the_supervisor_is_killed(again)


def assert_nothing_survives_when_the_supervisor_is_killed(portal: Process) -> None:
    """Kill the supervisor once everything runs again, and assert that all programs end."""
    assert until(lambda: parts(children_of(portal.pid)) == ALL)
    children = children_of(portal.pid)
    portal.stop(signal.SIGKILL)
    assert until(lambda: not [pid for pid in children if is_alive(pid)], 10), [
        command_line(pid) for pid in children
    ]


def test_relative_paths_are_resolved_against_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(certifi.where(), "ca.pem")
    paths = {"INSTANCE_DIR": "ours", "WEBHOOK_CA_BUNDLE": "ca.pem"}
    here = load_settings({**ENVIRONMENT, **paths})
    monkeypatch.chdir("/")
    there = load_settings({**ENVIRONMENT, **paths, **environment(here)})
    assert there.instance_dir == tmp_path / "ours"
    assert there.webhook_ca_bundle == str(tmp_path / "ca.pem")


def test_every_process_uses_utc_and_unbuffered_output(tmp_path: Path) -> None:
    variables = environment(load_settings({**ENVIRONMENT, "INSTANCE_DIR": str(tmp_path)}))
    assert (variables["TZ"], variables["PYTHONUNBUFFERED"]) == ("UTC", "1")


def test_a_port_in_use_gives_one_sentence(up: Up, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        portal = up()
        assert portal.wait() == 2
    assert portal.output.read_text() == (
        f"Another program uses port {port}. Stop that program or choose another PORT.\n"
    )


def test_an_unreachable_database_gives_one_sentence_without_its_password(up: Up) -> None:
    portal = up(DATABASE_URL="postgresql://portal:hush@127.0.0.1:9/portal")
    assert portal.wait() == 2
    text = portal.output.read_text()
    assert text.startswith(
        "The portal can’t use the database postgresql+psycopg://portal:***@127.0.0.1:9/portal"
    )
    assert text.count("\n") == 1
    assert "hush" not in text


@pytest.mark.parametrize(
    ("revision", "sentence"),
    [
        ("9999", "A newer version of the portal has changed this"),
        ("0040", "This database is older than the first release"),
    ],
)
def test_a_database_of_another_version_is_refused(
    up: Up, tmp_path: Path, revision: str, sentence: str
) -> None:
    path = tmp_path / "other.sqlite"
    with closing(sqlite_module.connect(path)) as other:
        other.executescript("CREATE TABLE alembic_version (version_num TEXT PRIMARY KEY)")
        other.execute("INSERT INTO alembic_version VALUES (?)", [revision])
        other.commit()
    portal = up(DATABASE_URL=f"sqlite:///{path}")
    assert portal.wait() == 2
    assert portal.output.read_text().startswith(sentence)


def test_a_second_portal_or_other_keys_are_refused_in_a_used_folder(up: Up) -> None:
    first = up()
    assert first.says("Press Ctrl-C to stop."), first.output.read_text()
    second = up(PORT=str(free_port()))
    assert second.wait(60) == 2
    assert second.output.read_text().startswith("The portal already runs from ")
    assert first.process.poll() is None
    assert first.stop() == 0
    other = up(ENCRYPTION_KEYS="YW5vdGhlciBrZXkgb2YgdGhpcnR5LXR3byBieXRlcyE=")
    assert other.wait(60) == 2
    assert other.output.read_text().startswith("ENCRYPTION_KEYS can’t decrypt the secrets")
