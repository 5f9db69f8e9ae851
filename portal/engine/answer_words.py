"""Extract text for people from a response, and detect errors that a success code hides."""

import html
import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

from portal.lib.typed_text import storable

WORDS: Final = ("error", "failed", "failure", "invalid", "exception", "denied", "unauthorized")
# "0 errors" and "error: null" don't count. "error 0x80070005" and "3 errors, 0 warnings" do.
_TROUBLE: Final = re.compile(
    rf"(?<!no )(?<!0 )\b({'|'.join(WORDS)})s?\b(?![^\w,;]{{0,3}}((0|false|null|none)\b|\[\]))",
    re.IGNORECASE,
)

# JSON keys under which services put their message, the best first ("error" is often only a code).
KEYS: Final = (
    "message",
    "detail",
    "error_description",
    "description",
    "errormessage",
    "error",
    "title",
    "reason",
    "errors",
)
# Also matches in a truncated text, and in a list of one or more.
_SENTENCE: Final = re.compile(
    rf'"({"|".join(KEYS)})"\s*:\s*(?:\[\s*)?"((?:[^"\\]|\\.)+)', re.IGNORECASE
)
_TITLE: Final = re.compile(r"<(title|h1)\b[^<>]*>([^<]+)", re.IGNORECASE)
MOST_READ: Final = 2_000  # characters of a response that we search for its message
BEFORE: Final = 40  # characters before the words that a person searches for


def speaks_of_error(text: str) -> bool:
    """Return whether the text mentions an error."""
    return _TROUBLE.search(text) is not None


def reports_error(text: str, post: str | None) -> bool:
    """Return whether a response mentions an error.

    `post`: the post that a chat received. A chat can echo it, so a post that itself mentions an
    error proves nothing.
    """
    return speaks_of_error(text) and not speaks_of_error(post or "")


def sentence_in(text: str) -> str:
    """Return a one-line summary of a response. It is untrusted text of the receiver.

    This is the refused field or the message in JSON, the title of a page or, if that only repeats
    the code, its first sentence, else the first line.
    """
    begin = text.lstrip()[:MOST_READ]
    if begin.startswith(("{", "[")):
        if named := _refused_field(begin):
            return named
        ranked = [(KEYS.index(key.lower()), message) for key, message in _SENTENCE.findall(begin)]
        if ranked:
            return _one_line(_plain(min(ranked, key=lambda each: each[0])[1]))
    if begin.startswith("<") and (titled := _TITLE.search(begin)):
        message = _one_line(_unescaped(titled[2]))
        return next(_sentences(begin), message) if _repeats_code(message) else message
    return next(iter(begin.splitlines()), "").strip()


# Keys under which services list refused fields, name one of them, and say why.
_LISTS: Final = ("errors", "detail", "details", "violations", "fielderrors", "invalid-params")
_FIELDS: Final = ("field", "loc", "path", "property", "propertypath", "param", "pointer", "name")
_WHY: Final = ("message", "msg", "detail", "title", "error", "reason", "description")


def _refused_field(text: str) -> str:
    """Return "asset.location_id: unknown location 3" for the first refused field, or ""."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):  # cut off, not JSON, a number too long, or nested deeply
        return ""
    found = next(_refusals(said), None)
    if found is None:
        return ""
    field, why = (_one_line(storable(part)) for part in found)
    return why if field in why else f"{field}: {why}"


def _refusals(said: object) -> Iterator[tuple[str, str]]:
    """Yield the refused fields of a parsed response with their messages."""
    if isinstance(said, list):
        for each in said:
            yield from _one_refusal(each)
    if not isinstance(said, dict):
        return
    keys = {key.lower(): value for key, value in said.items()}
    for name in _LISTS:
        listed = keys.get(name)
        if isinstance(listed, list):
            for each in listed:
                yield from _one_refusal(each)
        elif isinstance(listed, dict) and not {key.lower() for key in listed} & {*KEYS, *_WHY}:
            for field, messages in listed.items():
                why = messages[0] if isinstance(messages, list) and messages else messages
                if isinstance(why, str) and field and why:
                    yield field, why
    yield from _one_refusal(said)
    inner = keys.get("error")
    if isinstance(inner, dict):
        inner_keys = {key: value for key, value in inner.items() if key.lower() != "error"}
        yield from _refusals(inner_keys)


def _one_refusal(said: object) -> Iterator[tuple[str, str]]:
    if not isinstance(said, dict):
        return
    keys = {key.lower(): value for key, value in said.items()}
    source = keys.get("source")  # JSON:API
    if isinstance(source, dict):
        keys |= {key.lower(): value for key, value in source.items()}
    field = next(filter(None, (_path(keys.get(name)) for name in _FIELDS)), "")
    messages = (keys.get(name) for name in _WHY)
    why = next((each for each in messages if isinstance(each, str) and each), "")
    if field and why:
        yield field, why


def _path(value: object) -> str:
    """Return "asset.location_id" for a name, a pointer, or a list of names."""
    if isinstance(value, list):
        names = [str(part) for part in value if isinstance(part, str | int)]
        return ".".join(names[1:] if names[:1] == ["body"] else names)
    if not isinstance(value, str):
        return ""
    return value.strip("/").replace("/", ".") if value.startswith("/") else value


_PAGE: Final = re.compile(r"<(!doctype html|html|head|body)\b", re.IGNORECASE)
# A comment, a script or style, a tag, or another kind of markup. An unclosed one runs to the end.
_MARKUP: Final = re.compile(
    r"""<(?:!--.*?(?:-->|\Z)
    |(?P<raw>script|style)\b[^>]*+(?:\Z|(?<!/)>.*?(?:</(?P=raw)\b[^>]*+>?|\Z))
    |(?P<end>/?)(?P<tag>[a-z][^\s/>]*+)
     (?:[^>=]|=\s*+(?:"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z))?)*+(?:>|\Z)
    |[!?/][^>]*+(?:>|\Z))""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_HIDDEN: Final = frozenset({"template", "noscript"})
_WITHIN_A_LINE: Final = frozenset(
    {"a", "b", "code", "em", "font", "i", "small", "span", "strong", "tt", "u"}
)
LONGEST_PAGE: Final = 20_000  # characters of a web page that are read


def _lines_of_page(text: str) -> Iterator[str]:
    """Yield the visible lines of a web page, or nothing for other texts. Parses lazily."""
    page = text.lstrip()[:LONGEST_PAGE]
    if not _PAGE.match(page):
        return
    parts: list[str] = []
    at = hidden = 0
    for markup in _MARKUP.finditer(page):
        if not hidden:
            parts.append(_unescaped(page[at : markup.start()]))
        at = markup.end()
        tag = (markup["tag"] or markup["raw"] or "").lower()
        if tag in _HIDDEN and not markup[0].endswith("/>"):
            hidden = max(0, hidden - 1) if markup["end"] else hidden + 1
        if tag and tag not in _WITHIN_A_LINE:
            if line := _one_line("".join(parts)):
                yield line
            parts.clear()
    if not hidden:
        parts.append(_unescaped(page[at:]))
    if line := _one_line("".join(parts)):
        yield line


def text_of_page(text: str) -> str:
    """Return the visible lines of a web page, or a blank text for anything else.

    This is untrusted text of the receiver. The caller escapes it.
    """
    return "\n".join(_lines_of_page(text))


# Words that add nothing to a status code.
_OF_CODES: Final = re.compile(r"[^a-z]+|\b(?:error|http|status|code)\b")
FEWEST_WORDS: Final = 3  # of a sentence. Fewer words are a heading or the name of a server.


def _without_code(said: str) -> str:
    return " ".join(_OF_CODES.sub(" ", said.lower()).split())


_PHRASES: Final = frozenset(
    {"", "server", *(_without_code(status.phrase) for status in HTTPStatus)}
)


def _repeats_code(said: str) -> bool:
    return _without_code(said) in _PHRASES


def _sentences(page: str) -> Iterator[str]:
    """Yield the lines of a web page that add something to its status code."""
    for line in _lines_of_page(page):
        if len(line.split()) >= FEWEST_WORDS and not _repeats_code(line):
            yield line


def line_with(words: str, text: str) -> str:
    """Return the response's summary if it contains the words, else the first line that does.

    Visible lines of a web page come before its source. A long line starts shortly before the words.
    """
    lines = [sentence_in(text), *text_of_page(text).splitlines(), *text.splitlines()]
    line = next((line.strip() for line in lines if words.lower() in line.lower()), "")
    at = line.lower().find(words.lower())
    return f"…{line[at - BEFORE :].strip()}" if at > BEFORE else line


def _unescaped(text: str) -> str:
    """Decode a page's entities, or return the text unchanged if one has too many digits."""
    try:
        return html.unescape(text)
    except ValueError:  # Python reads at most 4,300 digits, with leading zeros
        return text


def _plain(said: str) -> str:
    """Decode JSON escapes, or return the text unchanged if it was cut off in one."""
    try:
        return storable(json.loads(f'"{said}"', strict=False))
    except ValueError:
        return said


def _one_line(text: str) -> str:
    return " ".join(text.split())
