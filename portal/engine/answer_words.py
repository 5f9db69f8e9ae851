"""Read an answer for people: its own sentence, and words of a success that is none."""

import html
import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

from portal.lib.typed_text import storable

WORDS: Final = ("error", "failed", "failure", "invalid", "exception", "denied", "unauthorized")
# "0 errors" and "error: null" are none; "error 0x80070005" and "3 errors, 0 warnings" are some.
_TROUBLE: Final = re.compile(
    rf"(?<!no )(?<!0 )\b({'|'.join(WORDS)})s?\b(?![^\w,;]{{0,3}}((0|false|null|none)\b|\[\]))",
    re.IGNORECASE,
)

# Where services put their sentence, what is said best first ("error" is often but a code).
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
# Also in a text that was cut off in its middle, and in a list of one or more.
_SENTENCE: Final = re.compile(
    rf'"({"|".join(KEYS)})"\s*:\s*(?:\[\s*)?"((?:[^"\\]|\\.)+)', re.IGNORECASE
)
_TITLE: Final = re.compile(r"<(title|h1)\b[^<>]*>([^<]+)", re.IGNORECASE)
MOST_READ: Final = 2_000  # characters of an answer, in which its sentence is looked for
BEFORE: Final = 40  # characters before the words that somebody looks for


def speaks_of_error(text: str) -> bool:
    """Return whether the text says that something went wrong."""
    return _TROUBLE.search(text) is not None


def reports_error(text: str, post: str | None) -> bool:
    """Return whether a response says so. `post`: what a chat was sent, which may answer with all of
    it; where that speaks of an error itself, nothing is known."""
    return speaks_of_error(text) and not speaks_of_error(post or "")


def sentence_in(text: str) -> str:
    """Return what the answer says in a sentence: the message of a JSON, the title of a page or,
    where that only repeats the code, its first sentence, else the first line. It is the receiver's
    own, and may be anything."""
    begin = text.lstrip()[:MOST_READ]
    if begin.startswith(("{", "[")):
        found = [(KEYS.index(key.lower()), said) for key, said in _SENTENCE.findall(begin)]
        if found:
            return _one_line(_plain(min(found, key=lambda each: each[0])[1]))
    if begin.startswith("<") and (titled := _TITLE.search(begin)):
        said = _one_line(html.unescape(titled[2]))
        return next(_sentences(begin), said) if _repeats_code(said) else said
    return next(iter(begin.splitlines()), "").strip()


_PAGE: Final = re.compile(r"<(!doctype html|html|head|body)\b", re.IGNORECASE)
# A comment, what is not text, a tag, or what is none. Whatever is left open goes on to the end.
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
    """Yield the lines that the reader of a web page sees; none where the text is no page. Reads no
    further than it is asked to."""
    page = text.lstrip()[:LONGEST_PAGE]
    if not _PAGE.match(page):
        return
    parts: list[str] = []
    at = hidden = 0
    for markup in _MARKUP.finditer(page):
        if not hidden:
            parts.append(html.unescape(page[at : markup.start()]))
        at = markup.end()
        tag = (markup["tag"] or markup["raw"] or "").lower()
        if tag in _HIDDEN and not markup[0].endswith("/>"):
            hidden = max(0, hidden - 1) if markup["end"] else hidden + 1
        if tag and tag not in _WITHIN_A_LINE:
            if line := _one_line("".join(parts)):
                yield line
            parts.clear()
    if not hidden:
        parts.append(html.unescape(page[at:]))
    if line := _one_line("".join(parts)):
        yield line


def text_of_page(text: str) -> str:
    """Return what a web page says to its reader, a line for each part; blank where the text is no
    page or says nothing. It is the receiver's own: still to be escaped."""
    return "\n".join(_lines_of_page(text))


# Beside a code these say no more than the code.
_OF_CODES: Final = re.compile(r"[^a-z]+|\b(?:error|http|status|code)\b")
FEWEST_WORDS: Final = 3  # of a sentence; fewer name a server, or are a heading


def _without_code(said: str) -> str:
    return " ".join(_OF_CODES.sub(" ", said.lower()).split())


_PHRASES: Final = frozenset({"", "server", *(_without_code(each.phrase) for each in HTTPStatus)})


def _repeats_code(said: str) -> bool:
    return _without_code(said) in _PHRASES


def _sentences(page: str) -> Iterator[str]:
    """Yield the lines of a web page that say more than its code."""
    for line in _lines_of_page(page):
        if len(line.split()) >= FEWEST_WORDS and not _repeats_code(line):
            yield line


def line_with(words: str, text: str) -> str:
    """The sentence of the answer, if these words stand in it, else the line in which they stand,
    from shortly before them; of a web page the line that its reader sees."""
    lines = [sentence_in(text), *text_of_page(text).splitlines(), *text.splitlines()]
    line = next((each.strip() for each in lines if words.lower() in each.lower()), "")
    at = line.lower().find(words.lower())
    return f"…{line[at - BEFORE :].strip()}" if at > BEFORE else line


def _plain(said: str) -> str:
    """Without the escapes of JSON; as it stands, where it was cut off among them."""
    try:
        return storable(json.loads(f'"{said}"', strict=False))
    except ValueError:
        return said


def _one_line(text: str) -> str:
    return " ".join(text.split())
