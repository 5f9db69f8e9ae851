"""Find unknown names in a page.

A class without a style or script is a typo, and a browser ignores an unknown keyword.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final

from portal.config.settings import ROOT
from tests.support.html import Node

STYLES: Final = "".join(path.read_text() for path in (ROOT / "static/css").glob("*.css"))
SCRIPTS: Final = "".join(path.read_text() for path in (ROOT / "static/js").glob("*.js"))
# The plain variants, which need no style of their own.
PLAIN: Final = frozenset(
    {"btn-secondary", "chart-spark", "is-neutral", "problem-danger", "problem-words"}
)
CLASSES: Final = (
    PLAIN
    | frozenset(re.findall(r"\.([a-z][\w-]*)", STYLES))
    | frozenset(re.findall(r"[a-z][\w-]*", SCRIPTS))
)
YES_NO: Final = frozenset({"true", "false"})
# The enumerated attributes that we use (HTML Living Standard).
KEYWORDS: Final[Mapping[str, frozenset[str]]] = {
    "spellcheck": YES_NO,
    "autocapitalize": frozenset({"off", "none", "on", "sentences", "words", "characters"}),
    "inputmode": frozenset({"text", "decimal", "numeric", "tel", "search", "email", "url"}),
    "enterkeyhint": frozenset({"enter", "done", "go", "next", "previous", "search", "send"}),
    "scope": frozenset({"row", "col", "rowgroup", "colgroup"}),
    "method": frozenset({"get", "post", "dialog"}),
    "enctype": frozenset({"multipart/form-data", "application/x-www-form-urlencoded"}),
    "translate": frozenset({"yes", "no"}),
    "draggable": YES_NO,
    "aria-hidden": YES_NO,
    "aria-expanded": YES_NO,
    "aria-pressed": YES_NO | {"mixed"},
    "aria-invalid": YES_NO,
    "aria-live": frozenset({"polite", "assertive", "off"}),
    "aria-sort": frozenset({"ascending", "descending", "none", "other"}),
    "aria-current": YES_NO | {"page", "step", "location", "date", "time"},
}


def unknown_names(root: Node) -> Iterator[str]:
    """Yield a sentence for each unknown class, keyword, and data attribute."""
    for node in root.walk():
        for attribute, value in node.attrs.items():
            if attribute == "class":
                for name in set(value.split()) - CLASSES:
                    yield f"<{node.tag}> has the class {name!r}, which no style or script knows"
            elif attribute in KEYWORDS:
                if value.lower() not in KEYWORDS[attribute]:
                    yield f"<{node.tag}> says {attribute}={value!r}"
            elif attribute.startswith("data-") and not _is_read(attribute):
                yield f"<{node.tag}> says {attribute}, which no style or script asks for"


@cache
def _is_read(attribute: str) -> bool:
    """Return True if a style or script reads the attribute.

    A script reads `data-live-url` by that name or as `liveUrl`. `data-theme` counts as read: the
    page loads another stylesheet for it.
    """
    first, *others = attribute.removeprefix("data-").split("-")
    named = first + "".join(map(str.capitalize, others))
    known = STYLES + SCRIPTS + "data-theme"
    return attribute in known or f".{named}" in SCRIPTS
