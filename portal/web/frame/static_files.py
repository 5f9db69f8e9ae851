"""Static files: addresses that change with the content, so that browsers may keep them for ever."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Final

from flask import Response, current_app, request, url_for

KEEP: Final = "public, max-age=31536000, immutable"
# The modules that main.js imports have plain addresses: kept, but asked about each time (ETag).
ASK: Final = "no-cache"


@lru_cache(maxsize=256)
def _version(path: Path, changed_ns: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _version_now(path: Path) -> str:
    return _version(path, path.stat().st_mtime_ns)


def static_url(filename: str) -> str:
    """The address of one of our static files, with its content's hash as version."""
    path = Path(current_app.static_folder or "static") / filename
    return url_for("static", filename=filename, v=_version_now(path))


def is_static() -> bool:
    """Whether this request asks for a static file."""
    return request.endpoint == "static"


def keep_static(response: Response) -> None:
    """Let browsers keep a file for ever when its address names its version."""
    versioned = "v" in request.args and response.status_code == 200
    response.headers["Cache-Control"] = KEEP if versioned else ASK
