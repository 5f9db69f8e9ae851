"""The web server: two processes of waitress's threads, quiet, and gone when its parent is."""

import os
import sys
from typing import Any

from portal import gc_freeze

with gc_freeze():
    from sqlalchemy.exc import SQLAlchemyError

    from jobs.heartbeat import DEREGISTER_SECONDS, Heartbeat
    from jobs.supervisor import dies_with
    from portal import app as _pages  # noqa: F401 - read once, here: each process begins with it
    from portal import logs
    from portal.base_app import create_base_app
    from portal.config.settings import SettingsError, load_settings
    from portal.extensions import db
    from portal.services.core import heartbeats, vault
    from portal.services.operations.health import read_snapshot
    from portal.services.people import sessions, tokens

# What gunicorn takes as: starting again will not help. It ends the server, not one process of it.
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
# Its socket would lie in the home folder, one for all portals of a user.
control_socket_disable = True
# The heartbeat file must not lie on a disk that can be busy.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108 - gunicorn's advice


def on_starting(server: Any) -> None:
    """Wrong keys end the server before it listens."""
    _check_keys(server)


def on_reload(server: Any) -> None:
    """They may have been changed."""
    _check_keys(server)


def post_fork(server: Any, _worker: Any) -> None:
    """A web process ends with its master, however that one ended."""
    dies_with(server.pid)()


def post_worker_init(worker: Any) -> None:
    """Check the keys and, with the first heartbeat, repair the schedule: each start does. Whoever
    connects waits until it is known how things stand."""
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
    worker.heartbeat.known.wait(10)  # two heartbeats that wait for their database are over by then


def _write_last_seen() -> None:
    sessions.last_seen.write()
    tokens.last_seen.write()


def worker_exit(_server: Any, worker: Any) -> None:
    """A web process that ends in peace says so."""
    if hasattr(worker, "heartbeat"):
        worker.heartbeat.end(DEREGISTER_SECONDS)


def _check_keys(server: Any) -> None:
    """In the master, which has one exit status. Its processes make connections of their own."""
    with create_base_app(_settings).app_context():
        _are_keys_known(server)
        db.session.remove()
        db.engine.dispose()


def _are_keys_known(process: Any) -> bool:
    """Whether the database could say that these keys are the right ones; wrong ones end us."""
    try:
        vault.check_keys()
    except SettingsError as error:
        process.log.error("%s", error)
        sys.exit(BOOT_ERROR)
    except SQLAlchemyError:
        return False
    return True
