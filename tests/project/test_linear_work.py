"""Tests that reading text takes linear time, so that a long text can't stall a process."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import fields, is_dataclass
from itertools import product
from time import process_time
from typing import Any

import jobs
import portal
from portal.engine.answer_words import line_with, sentence_in, speaks_of_error
from portal.engine.http.address_guard import check_url, host_of
from portal.engine.http.address_mask import looks_secret, masked_address, secrets_in
from portal.engine.retry_policy import parse_retry_after
from portal.engine.signing.pasted import PastedBody, read_signatures
from portal.engine.signing.signatures import check_secret
from portal.lib.clock import utcnow
from portal.lib.csv_cells import plain_cell, safe_cell
from portal.lib.redaction import Redactor
from portal.lib.spreadsheets.sheets import read_csv
from portal.lib.typed_text import harmless, on_one_line, tidy
from portal.lib.typed_values import is_email, read_amount, read_count, read_day, tidy_email
from portal.services import find
from portal.web.help.search import words_of

LONGEST = 100_000
# Seconds of CPU. A shorter time proves nothing, because a garbage collection takes as long.
SHORT = 0.02
UNITS = [
    *" \n\taA01-_.,:;/@='\"\\<([{&?%+#|~\0\u200b\u00a0ä",
    *("\r\n", "a ", "a.", "a@", "a:", "a-", "a=", "a/", "0 ", "0.", "0,", "0-", "\\u0041", "&#65;"),
    *("://", "http://", "https://a?", "https://a:b@", "token", "token=", "secret\n", "bearer "),
    *("authorization", "api-key:", "cookie ", "whsec_", "/inbox/", "/hooks/", "signature"),
    *("csrf ", '"message"', '"error": ', '"error": "a', '"detail":[', "<title", "<h1 "),
    *("<title>a", "error ", "no errors ", "Failing row contains ", "AST-00001 ", "/assets/1"),
    *("0190abcd-", "19 Nov 2026 ", "v1,a ", "sha256=", "=?utf-8?q?", "headers-1-value"),
    *("transfer-encoding: ", "GET / HTTP/1.1"),
]
FUNCTIONS: dict[str, Callable[[str], Any]] = {
    "tidy": tidy,
    "harmless": harmless,
    "on_one_line": on_one_line,
    "redact": Redactor(["a secret of ours"]),
    "sentence_in": sentence_in,
    "line_with": lambda text: line_with("trouble", text),
    "speaks_of_error": speaks_of_error,
    "masked_address": masked_address,
    "masked_path": lambda text: masked_address(f"https://erp.example.com/{text}"),
    "secrets_in": lambda text: list(secrets_in(f"https://erp.example.com/{text}")),
    "looks_secret": lambda text: looks_secret(f"https://erp.example.com/{text}"),
    "check_secret": check_secret,
    "check_url": check_url,
    "host_of": host_of,
    "retry_after": lambda text: parse_retry_after(text, utcnow()),
    "pasted_body": lambda text: PastedBody.of(text, b'{"a": 1}'),
    "signatures": read_signatures,
    "safe_cell": safe_cell,
    "plain_cell": plain_cell,
    "csv": lambda text: read_csv(text.encode()),
    "email": lambda text: is_email(tidy_email(text)),
    "amount": read_amount,
    "count": read_count,
    "day": read_day,
    "pasted": find.read,
    "help": words_of,
}


def patterns() -> Iterator[tuple[str, re.Pattern[Any]]]:
    """Yield every pattern in our modules and their tables, with the name of its place."""
    for package in (portal, jobs):
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(info.name)
            for name, value in vars(module).items():
                for index, pattern in enumerate(inside(value)):
                    yield f"{info.name}:{name}:{index}", pattern


def inside(value: Any) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from inside(item)
    elif is_dataclass(type(value)):
        yield from inside([getattr(value, item.name) for item in fields(value)])


VERBS = r"\.(search|sub|findall|finditer|split|match|fullmatch)\("
# How a loop over a table of patterns matches a whole text.
IN_A_LOOP = r"\b(?:pattern|path|form)\.(fullmatch)\("


def uses(place: str, pattern: re.Pattern[Any]) -> Iterator[Callable[[str], Any]]:
    """Yield the ways its module uses the pattern: to search a text, or to match its start."""
    module, name, _ = place.split(":")
    source = inspect.getsource(importlib.import_module(module))
    verbs = set(re.findall(rf"\b{name}{VERBS}", source) or re.findall(IN_A_LOOP, source) or ["sub"])
    fits = str.encode if isinstance(pattern.pattern, bytes) else str
    if verbs - {"fullmatch", "match"}:
        yield lambda text: pattern.sub(pattern.pattern[:0], fits(text))
    for verb in verbs & {"fullmatch", "match"}:
        yield lambda text, verb=verb: getattr(pattern, verb)(fits(text))


def seconds(work: Callable[[str], Any], text: str) -> float:
    began = process_time()
    with suppress(ValueError):
        work(text)
    return process_time() - began


def grows_too_fast(work: Callable[[str], Any], unit: str) -> bool:
    """Return whether a text of this unit takes more than three times as long as half of it.

    Tries the unit alone and after a letter. A short text goes first, so that a fault shows in a
    moment, not in minutes.
    """
    for first, size in product(("", "x"), (LONGEST // 16, LONGEST)):
        whole, half = (first + unit * (long // len(unit)) + "\n!" for long in (size, size // 2))
        took = seconds(work, whole)
        for _ in range(4):
            if took <= SHORT or took <= 3 * seconds(work, half):
                break
            took = min(took, seconds(work, whole))
        else:
            return True
    return False


def test_every_pattern_takes_linear_time() -> None:
    slow = {
        (place, unit)
        for place, pattern in patterns()
        for work in uses(place, pattern)
        for unit in UNITS
        if grows_too_fast(work, unit)
    }
    assert slow == set()


def test_every_function_that_reads_outside_text_takes_linear_time() -> None:
    for name in FUNCTIONS:
        assert [unit for unit in UNITS if grows_too_fast(FUNCTIONS[name], unit)] == [], name
