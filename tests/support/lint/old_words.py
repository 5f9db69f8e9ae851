"""The words that docs/words.md took out of the pages: the check of pages refuses them."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.support.html import Node

WORDS = Path(__file__).parents[3] / "docs" / "words.md"
HEADING = "## Say this, not that"
# What stands there was written by somebody else.
QUOTED = {"pre", "code", "textarea", "script", "style", "template", "option"}


@cache
def refused() -> re.Pattern[str]:
    """Any of the phrases in `code` of the table's second column, as whole words."""
    table = WORDS.read_text("utf-8").partition(HEADING)[2].partition("\n## ")[0]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| ")]
    phrases = [phrase for row in rows for phrase in re.findall(r"`([^`]+)`", row[2])]
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, phrases))})\b", re.IGNORECASE)


def old_words(root: Node) -> Iterator[str]:
    """Each of them in the page, with what stands around it."""
    said = list(_said(root))
    if not refused().search("\n".join(said)):  # no phrase goes over the end of a line
        return
    for text in said:
        for found in refused().finditer(text):
            around = text[max(0, found.start() - 40) : found.end() + 40]
            yield f"“{around}” says “{found[0]}” (docs/words.md has another word)"


def _said(root: Node) -> Iterator[str]:
    """The texts of blocks: a phrase may have a link or a mark inside."""
    quoted = 0
    for node in root.walk():
        if quoted:
            quoted -= 1
        elif node.tag in QUOTED:
            quoted = len(node.inside)
        else:
            said = " ".join(child for child in node.children if isinstance(child, str))
            yield " ".join(said.split())
