"""The shipped systemd units, Procfile, wrapper, and documented commands work."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import jobs.cli
from jobs.up import all_programs
from portal.app import create_app
from portal.config.settings import ROOT, load_settings
from tests.conftest import ENVIRONMENT, migrate_to_head

SHIPPED = ROOT / "deploy" / "systemd"
UNITS = sorted(path for path in SHIPPED.iterdir() if path.is_file())
SERVICES = [path for path in UNITS if path.suffix == ".service"]
NIGHTLY = SHIPPED / "asset-webhooks-backup.service"
HAS_SYSTEMD = shutil.which("systemd-analyze") is not None
MOST_EXPOSED = 4.0  # out of 10 on systemd's scale
GUIDE = ROOT / "docs" / "deployment.md"


def commands_of(tmp_path: Path) -> set[tuple[str, ...]]:
    """Return the supervisor's commands without their Python."""
    settings = load_settings(
        {**ENVIRONMENT, "INSTANCE_DIR": str(tmp_path), "REDIS_URL": "redis://:x@cache"}
    )
    return {tuple(program.argv[1:]) for program in all_programs(settings)}


@pytest.mark.skipif(not HAS_SYSTEMD, reason="there is no systemd here")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for drop_in in SHIPPED.glob("*.d/*.conf"):
        (folder := tmp_path / drop_in.parent.name).mkdir()
        whole = re.sub(r"^#(?=IPAddress)", "", drop_in.read_text(), flags=re.MULTILINE)
        (folder / drop_in.name).write_text(whole)
    for unit in UNITS:
        text = unit.read_text().replace("/opt/asset-webhooks/.venv/bin/python", sys.executable)
        text = text.replace("/opt/asset-webhooks", str(ROOT))
        text = re.sub(r"^(User|Group)=.*$", r"\1=root", text, flags=re.MULTILINE)
        (tmp_path / unit.name).write_text(text)
    command = [
        "systemd-analyze",
        "verify",
        "--man=no",
        *(str(tmp_path / unit.name) for unit in UNITS),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not HAS_SYSTEMD, reason="there is no systemd here")
def test_systemd_rates_the_units_as_hardly_exposed() -> None:
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager"]
    for service in SERVICES:
        done = subprocess.run([*command, service], capture_output=True, text=True, timeout=60)
        rating = re.search(r"Overall exposure level for .*: ([0-9.]+)", done.stdout)
        assert rating, done.stderr
        assert float(rating[1]) <= MOST_EXPOSED, service.name


def test_the_nightly_backup_is_made_and_old_ones_are_deleted(tmp_path: Path) -> None:
    state, kept = tmp_path / "state", tmp_path / "copies"
    migrate_to_head(f"sqlite:///{state}/portal.sqlite", state)
    kept.mkdir()
    old, other = kept / "portal-2026-01-01-023000.backup", kept / "by-hand.backup"
    for path in (old, other):
        path.touch()
        os.utime(path, (0, 0))
    for line in re.findall(r"^ExecStart(?:Post)?=(.*)$", NIGHTLY.read_text(), re.MULTILINE):
        plain = line.replace("%%", "%").replace("$$", "$")
        plain = plain.replace("/var/lib/asset-webhooks-backups", str(kept))
        plain = plain.replace("/opt/asset-webhooks/.venv/bin/python", sys.executable)
        environ = {**ENVIRONMENT, "INSTANCE_DIR": str(state), "PATH": os.environ["PATH"]}
        command = shlex.split(plain)
        done = subprocess.run(
            command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, "")
    made = [path for path in kept.iterdir() if path != other]
    assert [re.sub(r"[0-9]", "0", path.name) for path in made] == [
        "portal-0000-00-00-000000.backup"
    ]
    assert made[0].stat().st_mode & 0o077 == 0


def test_the_units_start_the_same_programs_as_the_supervisor(tmp_path: Path) -> None:
    texts = [unit.read_text() for unit in UNITS if unit != NIGHTLY]
    lines = re.findall(r"^ExecStart=(.*)$", "\n".join(texts), re.MULTILINE)
    started = {tuple(shlex.split(line)[1:]) for line in lines}
    assert started == {*commands_of(tmp_path), ("-m", "flask", "--app", "wsgi", "up")}


def test_the_socket_unit_listens_at_the_default_address(tmp_path: Path) -> None:
    usual = load_settings({**ENVIRONMENT, "INSTANCE_DIR": str(tmp_path), "PORT": ""})
    unit = (SHIPPED / "asset-webhooks-web.socket").read_text()
    assert f"\nListenStream={usual.host}:{usual.port}\n" in unit


def test_the_procfile_starts_the_same_programs_as_the_supervisor(tmp_path: Path) -> None:
    lines = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
    release = shlex.split(lines.pop("release"))
    assert release[1:] == ["--app", "wsgi", "db", "upgrade"]
    words = [line.partition(".venv/bin/python ")[2] for line in lines.values()]
    assert {tuple(shlex.split(line)) for line in words} == commands_of(tmp_path)


def test_every_command_in_the_guide_exists_and_has_help(tmp_path: Path) -> None:
    whole = create_app(load_settings({**ENVIRONMENT, "INSTANCE_DIR": str(tmp_path)}))
    jobs.cli.register(whole)
    guide = re.compile(r"(?:flask --app wsgi|(?m:^asset-webhooks)|`asset-webhooks) ([a-z][a-z-]*)")
    named = set(guide.findall(GUIDE.read_text()))
    assert {"up", "doctor", "backup", "worker", "scheduler", "db", "create-user"} <= named
    for name in named:
        assert whole.cli.commands[name].help, name


def test_the_wrapper_uses_the_database_of_the_units(tmp_path: Path) -> None:
    state = tmp_path / "state"
    migrate_to_head(f"sqlite:///{state}/portal.sqlite", state)
    values = {**ENVIRONMENT, "SMTP_URL": "smtp://u:a$b&c@mail?from=a@example.com&x=1"}
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in values.items()]
    (tmp_path / "env").write_text("".join(lines))
    text = (ROOT / "deploy" / "asset-webhooks").read_text()
    text = text.replace("/var/lib/asset-webhooks", str(state))
    text = text.replace("/etc/asset-webhooks.env", str(tmp_path / "env"))
    text = re.sub(r"setpriv .*\n\s*\.venv/bin/python", sys.executable, text)
    text = text.replace("/opt/asset-webhooks", str(ROOT))
    copy = tmp_path / "copy"
    command = ["sh", "-c", text, "asset-webhooks", "backup", str(copy)]
    done = subprocess.run(command, env={}, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert copy.stat().st_mode & 0o777 == 0o600
    command[-2:] = ["backup"]
    done = subprocess.run(command, env={}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "Try 'asset-webhooks backup --help'" in done.stderr


def test_every_setting_in_the_guide_exists() -> None:
    tables = (ROOT / "README.md").read_text() + GUIDE.read_text()
    known = set(re.findall(r"^\| `([A-Z_]+)` \|", tables, re.MULTILINE))
    named = set(re.findall(r"^([A-Z_]{4,})=", GUIDE.read_text(), re.MULTILINE))
    assert named
    assert named <= known
