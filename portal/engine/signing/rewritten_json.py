"""A JSON body as programs write it anew after they have read it: the same in other bytes."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

_LAYOUTS: Final[Sequence[tuple[str, dict[str, Any]]]] = (
    ("", {"separators": (",", ":")}),
    ("spaces after commas and colons", {}),
    ("pretty-printed", {"indent": 2}),
    ("pretty-printed", {"indent": 4}),
    ("pretty-printed", {"indent": "\t"}),
)
_ORDERS: Final = (("", False), ("sorted keys", True))


def rewritten(body: bytes) -> Iterator[tuple[str, bytes]]:
    """(what is different, bytes), each once; nothing for a body that is no JSON."""
    try:
        content = json.loads(body)
        known = {body}
        for layout, how in _LAYOUTS:
            for order, sort_keys in _ORDERS:
                for letters, write in _LETTERS:
                    text = write(content, sort_keys=sort_keys, **how)
                    new = text.encode(errors="replace")
                    if new not in known:
                        known.add(new)
                        yield ", ".join(filter(None, (order, layout, letters))), new
    except (ValueError, RecursionError):
        return


def says_the_same(ours: bytes, theirs: str) -> bool:
    """Whether two bodies are the same JSON, however it is written."""
    try:
        return _plain(json.loads(ours)) == _plain(json.loads(theirs.removeprefix("\ufeff")))
    except (ValueError, RecursionError):
        return False


def compact(content: object) -> str:
    """As our own bodies are written."""
    return json.dumps(content, separators=(",", ":"))


def _plain(content: object) -> str:
    # Python holds 1, 1.0 and true for equal.
    return json.dumps(content, sort_keys=True)


def _raw(content: object, **how: Any) -> str:
    return json.dumps(content, ensure_ascii=False, **how)


def _slashed(content: object, **how: Any) -> str:
    return json.dumps(content, **how).replace("/", "\\/")


def _raw_slashed(content: object, **how: Any) -> str:
    return _raw(content, **how).replace("/", "\\/")


def _go(content: object, **how: Any) -> str:
    return re.sub("[<>&\u2028\u2029]", _escape, _raw(content, **how))


def _dot_net(content: object, **how: Any) -> str:
    # A backslash is read with what follows it: that of a text that ends with one escapes no quote.
    text = re.sub(r"\\(?:u[0-9a-f]{4}|.)", _dot_net_escape, json.dumps(content, **how))
    return re.sub("[<>&'+`]", lambda found: f"\\u{ord(found[0]):04X}", text)


def _dot_net_escape(found: re.Match[str]) -> str:
    escape = found[0]
    if escape == '\\"':
        return "\\u0022"
    return f"\\u{escape[2:].upper()}" if escape.startswith("\\u") else escape


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


# The first that gives some bytes names them: where a body has no such letter, several do.
_LETTERS: Final[Sequence[tuple[str, Callable[..., str]]]] = (
    ("", json.dumps),
    ("letters such as é written out", _raw),
    ("slashes written as \\/", _slashed),
    ("letters such as é written out, slashes written as \\/", _raw_slashed),
    ("letters such as é written out, <, > and & escaped", _go),
    ("characters escaped as .NET does", _dot_net),
)
