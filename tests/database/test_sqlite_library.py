"""Tests that every process loads one SQLite library, and that others can share its files."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from portal.config.settings import ROOT
from portal.database.engine import impatient_engine, sqlite_module
from tests.conftest import ENVIRONMENT

IMPORT = re.compile(r"^\s*(import|from) (_?sqlite3|pysqlite3|sqlcipher3)\b", re.MULTILINE)
FOLDERS = ["portal", "jobs", "migrations", "tests", "bench"]

EVERY_PROCESS = """
import pkgutil, sys
import jobs, portal
for package in (portal, jobs):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            __import__(module.name)
from portal.app import create_app
from portal.config.settings import load_settings
from portal.database.engine import impatient_engine
from portal.extensions import db
settings = load_settings()
with create_app(settings).app_context():
    for engine in (db.engine, impatient_engine(settings.database_url)):
        engine.connect().close()
print(*sorted({"sqlite3", "_sqlite3", "pysqlite3", "sqlcipher3"} & set(sys.modules)))
"""

# Uses Python's own SQLite and exits without closing, as if killed.
ANOTHER = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode=WAL")
connection.execute("CREATE TABLE IF NOT EXISTS t (word TEXT UNIQUE)")
connection.execute("INSERT INTO t VALUES ('theirs, in the log')")
print(*connection.execute("SELECT word FROM t ORDER BY word").fetchall(), flush=True)
os._exit(0)
"""


def test_only_the_engine_module_imports_the_library() -> None:
    files = [
        *ROOT.glob("*.py"),
        *(path for name in FOLDERS for path in (ROOT / name).rglob("*.py")),
    ]
    named = [path for path in files if IMPORT.search(path.read_text())]
    assert named == [ROOT / "portal" / "database" / "engine.py"]


def test_no_process_loads_a_second_library(tmp_path: Path) -> None:
    environ = ENVIRONMENT | {"INSTANCE_DIR": str(tmp_path), "REDIS_URL": f"unix://{tmp_path}/none"}
    done = subprocess.run(
        [sys.executable, "-c", EVERY_PROCESS],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split() == ["sqlcipher3"], done.stderr


def test_the_library_of_python_cannot_be_imported_in_tests() -> None:
    with pytest.raises(ImportError):
        __import__("sqlite3")


def test_the_library_does_not_have_the_wal_reset_bug() -> None:
    assert sqlite_module.sqlite_version_info >= (3, 51, 3)


def test_connections_use_safe_settings(tmp_path: Path) -> None:
    safe = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "cache_size": -2000}
    engine = impatient_engine(f"sqlite:///{tmp_path}/portal.sqlite")
    with engine.connect() as connection:
        for setting, value in safe.items():
            assert connection.exec_driver_sql(f"PRAGMA {setting}").scalar_one() == value, setting
    engine.dispose()


def test_another_sqlite_library_can_share_the_file(tmp_path: Path) -> None:
    path = tmp_path / "portal.sqlite"
    theirs = [sys.executable, "-c", ANOTHER, str(path)]
    first = subprocess.run(theirs, capture_output=True, text=True, timeout=30, check=True)
    assert first.stdout == "('theirs, in the log',)\n"
    assert path.with_name("portal.sqlite-wal").stat().st_size
    engine = impatient_engine(f"sqlite:///{path}")
    with engine.connect().execution_options(writing=True) as ours, ours.begin():
        taken = ours.execute(text("DELETE FROM t RETURNING word")).scalars().all()
        ours.execute(text("INSERT INTO t VALUES ('ours')"))
    engine.dispose()
    assert taken == ["theirs, in the log"]
    second = subprocess.run(theirs, capture_output=True, text=True, timeout=30, check=True)
    assert second.stdout == "('ours',) ('theirs, in the log',)\n"
    assert path.read_bytes().startswith(b"SQLite format 3\x00")
