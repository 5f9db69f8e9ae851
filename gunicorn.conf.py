"""Run two quiet web processes of waitress threads, which end with their parent."""

import os
import sys
from typing import Any

from portal import gc_freeze

with gc_freeze():
    from sqlalchemy.exc import SQLAlchemyError

    from jobs.heartbeat import DEREGISTER_SECONDS, Heartbeat
    from jobs.supervisor import dies_with
    from portal import app as _pages  # noqa: F401 - imported once here, so each process starts with it
    from portal import logs
    from portal.base_app import create_base_app
    from portal.config.settings import SettingsError, load_settings
    from portal.extensions import db
    from portal.services.core import heartbeats, vault
    from portal.services.operations.health import read_snapshot
    from portal.services.people import sessions, tokens

# With this status, gunicorn ends the whole server instead of restarting the process.
BOOT_ERROR = 3

try:
    _settings = load_settings()
except SettingsError as error:
    sys.stderr.write(f"{error}\n")
    sys.exit(2)
_host = f"[{_settings.host}]" if ":" in _settings.host else _settings.host

bind = f"{_host}:{_settings.port}"
workers = 2
worker_class = "jobs.web_server.WebWorker"
threads = 8
timeout = 60
graceful_timeout = 10
loglevel = "warning"
logconfig_dict = logs.config(_settings, "web")
# All portals of a user would share its socket in the home folder.
control_socket_disable = True
# A busy disk would delay gunicorn's heartbeat file.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108 - gunicorn recommends it


def on_starting(server: Any) -> None:
    """Check the keys, so that wrong ones end the server before it listens."""
    _check_keys(server)


def on_reload(server: Any) -> None:
    """Check the keys again, because they can have changed."""
    _check_keys(server)


def post_fork(server: Any, _worker: Any) -> None:
    """End the web process with its master, however the master ends."""
    dies_with(server.pid)()


def post_worker_init(worker: Any) -> None:
    """Check the keys and start the heartbeat, which repairs the schedule.

    New connections wait until the heartbeats have read the state of all parts.
    """
    with worker.wsgi.app_context():
        if not _are_keys_known(worker):
            worker.log.warning("The database does not answer yet.")
    worker.heartbeat = Heartbeat(
        worker.wsgi,
        heartbeats.WEB,
        is_well=worker.is_turning,
        write=_write_last_seen,
        look=read_snapshot,
    ).begin()
    worker.heartbeat.known.wait(10)  # time for two heartbeats that wait for the database


def _write_last_seen() -> None:
    sessions.last_seen.write()
    tokens.last_seen.write()


def worker_exit(_server: Any, worker: Any) -> None:
    """Deregister a web process that ends normally."""
    if hasattr(worker, "heartbeat"):
        worker.heartbeat.end(DEREGISTER_SECONDS)


def _check_keys(server: Any) -> None:
    """Check the keys in the master, which has one exit status, and close its connections."""
    with create_base_app(_settings).app_context():
        _are_keys_known(server)
        db.session.remove()
        db.engine.dispose()


def _are_keys_known(process: Any) -> bool:
    """Return whether the database confirmed the keys. Wrong keys end the process."""
    try:
        vault.check_keys()
    except SettingsError as error:
        process.log.error("%s", error)
        sys.exit(BOOT_ERROR)
    except SQLAlchemyError:
        return False
    return True
