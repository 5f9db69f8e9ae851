"""Log lines: JSON, one object a line, for machines; short lines for a person at a terminal.

Both carry the request id that a request gave to what it asked for, and neither carries a secret.
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
# One line for each request, and for each job that a request asked for: of use to machines alone.
TRAFFIC: Final = "portal.traffic"
# What every record has; the rest came by `extra`.
USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JsonFormatter(logging.Formatter):
    """`{"at", "level", "process", "pid", "logger", "message", …}`, times in UTC."""

    def __init__(self, process: str, secrets: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._process = process
        self._redact = Redactor(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, whatever the message holds."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self._process,
            "pid": os.getpid(),
            "logger": record.name,
            "message": self._redact(record.getMessage()),
        }
        if found := request_id.current():
            line["request_id"] = found
        line |= {name: self._plain(value) for name, value in _extras(record).items()}
        if record.exc_info:
            line["error"] = self._redact(self.formatException(record.exc_info))
        return json.dumps(line)

    def _plain(self, value: Any) -> Any:
        return value if isinstance(value, int | float | None) else self._redact(str(value))


class LineFormatter(logging.Formatter):
    """Level and message, as `make run` shows them."""

    def __init__(self, secrets: tuple[str, ...] = ()) -> None:
        super().__init__("%(levelname)-7s %(message)s")
        self._redact = Redactor(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """Return the record for a person."""
        return self._redact(super().format(record))


def config(settings: Settings, process: str) -> dict[str, Any]:
    """Return what `logging.config.dictConfig` takes: everything to standard error, in one form."""
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
            # It tells of every request that waits for a thread.
            "waitress.queue": {"level": "ERROR"},
            # They tell each migration and each job; ours say what matters.
            "alembic": {"level": "WARNING"},
        },
    }


def set_up(settings: Settings, process: str) -> None:
    """Have everything that this process logs written in the form that the settings ask for."""
    logging.config.dictConfig(config(settings, process))


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """Return the secrets among the settings, so that they can be masked.

    Passwords as they stand in an address, and as a server repeats them: `%40` is an `@` by then.
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
