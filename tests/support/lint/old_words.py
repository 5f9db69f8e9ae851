"""Find words that docs/words.md has replaced, in pages and other texts."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.support.html import Node

WORDS = Path(__file__).parents[3] / "docs" / "words.md"
HEADING = "## Say this, not that"
# The text in these tags is not ours.
QUOTED = {"pre", "code", "textarea", "script", "style", "template", "option"}


@cache
def refused() -> re.Pattern[str]:
    """Return a pattern for the phrases in `code` in the table's second column, as whole words."""
    table = WORDS.read_text("utf-8").partition(HEADING)[2].partition("\n## ")[0]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| ")]
    phrases = [phrase for row in rows for phrase in re.findall(r"`([^`]+)`", row[2])]
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, phrases))})\b", re.IGNORECASE)


def old_words(root: Node) -> Iterator[str]:
    """Yield a sentence for each of these words in the page, with the text around it."""
    texts = list(_said(root))
    if not refused().search("\n".join(texts)):  # no phrase goes over the end of a line
        return
    for text in texts:
        yield from old_words_in(text)


def old_words_in(text: str) -> Iterator[str]:
    """Yield a sentence for each of these words in the text, with the text around it."""
    for match in refused().finditer(text):
        around = text[max(0, match.start() - 40) : match.end() + 40]
        yield f"“{around}” says “{match[0]}” (docs/words.md has another word)"


def _said(root: Node) -> Iterator[str]:
    """Yield the texts of blocks, because a phrase can contain a link or markup."""
    quoted = 0
    for node in root.walk():
        if quoted:
            quoted -= 1
        elif node.tag in QUOTED:
            quoted = len(node.inside)
        else:
            text = " ".join(child for child in node.children if isinstance(child, str))
            yield " ".join(text.split())
