"""Format the log as JSON lines for machines or as short lines for a terminal.

Both mask secrets. JSON lines carry the ID of the request, also in the jobs that it queued.
"""

import json
import logging
import logging.config
import os
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from portal.config.settings import Settings
from portal.lib import request_id
from portal.lib.redaction import Redactor

JSON: Final = "json"
# One line for each request and for each job that a request queued. Only useful to machines.
TRAFFIC: Final = "portal.traffic"
# The attributes of every record. Others come from `extra`.
USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JsonFormatter(logging.Formatter):
    """A formatter for `{"at", "level", "process", "pid", "logger", "message", …}`, in UTC."""

    def __init__(self, process: str, secrets: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._process = process
        self._redact = Redactor(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, even for a message of several lines."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self._process,
            "pid": os.getpid(),
            "logger": record.name,
            "message": self._redact(record.getMessage()),
        }
        if current := request_id.current():
            line["request_id"] = current
        line |= {name: self._plain(value) for name, value in _extras(record).items()}
        if record.exc_info:
            line["error"] = self._redact(self.formatException(record.exc_info))
        return json.dumps(line)

    def _plain(self, value: Any) -> Any:
        return value if isinstance(value, int | float | None) else self._redact(str(value))


class LineFormatter(logging.Formatter):
    """A formatter for lines of level and message, as in `make run`."""

    def __init__(self, secrets: tuple[str, ...] = ()) -> None:
        super().__init__("%(levelname)-7s %(message)s")
        self._redact = Redactor(secrets)

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(super().format(record))


def config(settings: Settings, process: str) -> dict[str, Any]:
    """Return a `logging.config.dictConfig` that sends everything to stderr in one format."""
    is_json = settings.log_format == JSON
    secrets = secrets_of(settings)
    formatter: dict[str, Any] = {"()": LineFormatter, "secrets": secrets}
    if is_json:
        formatter = {"()": JsonFormatter, "process": process, "secrets": secrets}
    to_us = {"handlers": [], "propagate": True}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"ours": formatter},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "ours"}},
        "root": {"level": "INFO", "handlers": ["stderr"]},
        "loggers": {
            TRAFFIC: {"level": "INFO" if is_json else "WARNING"},
            "gunicorn.error": {**to_us, "level": "WARNING"},
            "gunicorn.access": {**to_us, "level": "WARNING"},
            "waitress": {"level": "WARNING"},
            # It logs every request that waits for a thread.
            "waitress.queue": {"level": "ERROR"},
            # It logs each migration. Our own lines are enough.
            "alembic": {"level": "WARNING"},
        },
    }


def set_up(settings: Settings, process: str) -> None:
    """Configure the logging of this process in the format of the settings."""
    logging.config.dictConfig(config(settings, process))


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """Return the secrets among the settings, to mask them.

    Passwords are included as written in URLs and as servers repeat them: `%40` and `@`.
    """
    urls = (settings.database_url, settings.redis_url, settings.smtp_url)
    written = [password for url in urls for password in _passwords(urlsplit(url))]
    passwords = [*written, *map(unquote, written)]
    return (settings.secret_key, *settings.encryption_keys, settings.metrics_token, *passwords)


def _passwords(url: SplitResult) -> list[str]:
    named = [value for name, value in parse_qsl(url.query) if "password" in name]
    return [url.password or "", *named]


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in USUAL}
