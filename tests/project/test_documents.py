"""Tests that the documents name only what exists, and use no replaced word."""

import re
from functools import cache
from pathlib import Path, PurePath
from typing import Final

from portal.config.settings import ROOT
from tests.project.test_docs_snippets import DOCUMENTS
from tests.support.lint.old_words import WORDS, old_words_in

FOLDERS: Final = [
    "portal",
    "jobs",
    "templates",
    "static",
    "tests",
    "migrations",
    "bench",
    "deploy",
    "docs",
]
FENCED: Final = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
CODE: Final = re.compile(r"`([^`\n]+)`")
# Code, targets of links, and a word of the code that only pages replace.
FOREIGN: Final = re.compile(rf"{CODE.pattern}|\]\([^)]*\)|\bheartbeat\b", re.IGNORECASE)
# `services/core/keyset.py`, `portal/web/`, and `test_*.py`. The first folder or the ending is ours.
PATH: Final = re.compile(r"[\w.*@-]+/[\w.*@/-]*|[\w*]+\.(?:py|html|md|js|css)")
ENDINGS: Final = (".py", ".html", ".md", ".js", ".css")
# `failing_since`, `is_open()`, `DeliveryDetail.body`, and `WebhookStatus`.
IDENTIFIER: Final = re.compile(r"(?=.*(?:_|\(\)|[a-z][A-Z]))([A-Za-z_][\w.]*)(?:\(\))?")
# `is_failing` in `models/deliveries.py`, `models/deliveries.py`: `is_failing`, and
# (`models/deliveries.py`, `is_failing`).
PLACED: Final = (
    re.compile(r"`(?P<name>\w+)(?:\(\))?` in `(?P<path>[\w/]+\.py)`"),
    re.compile(r"`(?P<path>[\w/]+\.py)`: `(?P<name>\w+)(?:\(\))?`"),
    re.compile(r"\(`(?P<path>[\w/]+\.py)`, `(?P<name>\w+)(?:\(\))?`\)"),
)
# The settings of other programs, and names that the text itself calls earlier ones.
NOT_OURS: Final = {
    "listen_addresses",
    "pool_mode",
    "buffer_requests",
    "tcp_keepalives_",
    "HttpOnly",
} | {"paused_because", "SWEEP_SECONDS", "sweep_age_seconds", "webhook_reads"}


@cache
def tree() -> list[Path]:
    """Return the files and folders of the repository, relative to it."""
    below = (path for name in FOLDERS for path in (ROOT / name).rglob("*"))
    found = [path for path in below if path.suffix != ".pyc" and path.name != "__pycache__"]
    return [path.relative_to(ROOT) for path in [*ROOT.iterdir(), *found]]


@cache
def words() -> set[str]:
    """Return the words of all sources, but not of the documents and of this test."""
    sources = [ROOT / path for path in tree() if path.parts[0] != "docs" and path.suffix != ".md"]
    texts = [path.read_bytes() for path in sources if path.is_file() and path != Path(__file__)]
    found = {word for text in texts for word in re.findall(rb"\w+", text)}
    return {word.decode() for word in found} | {path.stem for path in tree()} | NOT_OURS


def paths_of(code: str) -> list[Path]:
    """Return the files and folders that end like this path or pattern."""
    return [path for path in tree() if path.match(code.rstrip("/"))]


def is_missing(code: str) -> bool:
    """Return whether this is a path or an identifier of ours that doesn’t exist."""
    if PATH.fullmatch(code):
        is_ours = code.endswith(ENDINGS) or PurePath(code).parts[0] in FOLDERS
        return is_ours and not paths_of(code)
    if found := IDENTIFIER.fullmatch(code):
        parts = found[1].removeprefix("asset_webhooks_").split(".")
        return any(part and part not in words() for part in parts)
    return False


def is_placed(path: str, name: str) -> bool:
    """Return whether a file at this path has this word."""
    texts = [(ROOT / each).read_text() for each in paths_of(path)]
    return any(re.search(rf"\b{name}\b", text) for text in texts)


def test_documents_name_only_existing_paths_and_identifiers() -> None:
    named = [
        (document.name, code)
        for document in DOCUMENTS
        for code in CODE.findall(FENCED.sub("", document.read_text()))
    ]
    assert len(named) > 1000
    assert [each for each in named if is_missing(each[1])] == []


def test_a_file_has_the_identifiers_that_documents_place_there() -> None:
    placed = [
        (document.name, found["path"], found["name"])
        for document in DOCUMENTS
        for pattern in PLACED
        for found in pattern.finditer(document.read_text())
    ]
    assert len(placed) > 10
    assert [each for each in placed if not is_placed(*each[1:])] == []


def test_documents_use_no_replaced_word() -> None:
    breaches = [
        (document.name, breach)
        for document in DOCUMENTS
        if document != WORDS  # its tables have the replaced words
        for paragraph in FOREIGN.sub("", FENCED.sub("", document.read_text())).split("\n\n")
        for breach in old_words_in(" ".join(paragraph.split()))
    ]
    assert breaches == []
