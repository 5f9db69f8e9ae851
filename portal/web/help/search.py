"""Search the topics as the reader sees them. Words in a heading weigh more."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from portal.engine.reasons import explain, reason_for_code
from portal.web.help.anchors import anchor_url
from portal.web.help.topics import ACT_LATER, TOPICS, Entry, read

MOST_FOUND: Final = 20
LONGEST: Final = 120  # characters of a question
CODE: Final = re.compile(r"[1-9]\d\d", re.ASCII)
WORD: Final = re.compile(r"[^\W_]+")
SHORTEST_STEM: Final = 3
LONGEST_ENDING: Final = 2  # plural and the like
IN_TITLE: Final = 6
# Words too common to search for.
EMPTY: Final = frozenset(
    """a an and are at by can code do does error for from get got has have how http https i in is
    it me mean my not of on or our status that the this to was we what when where who why with
    you""".split()  # noqa: SIM905 - as a list it takes a page
)


def find(question: str) -> list[Entry]:
    """Return the entries that match the most words, best first. Codes come before words."""
    words = words_of(question[:LONGEST])
    codes = [word for word in words if CODE.fullmatch(word)]
    # Any other number matches only by chance.
    rest = [word for word in words if not word.isdigit()]
    hits = [*(_of_code(int(code)) for code in codes), *(_ranked(rest) if rest else ())]
    return list({entry.url: entry for entry in hits}.values())[:MOST_FOUND]


def words_of(text: str) -> list[str]:
    """Return distinct words in lower case, without accents. Common words count only if alone."""
    words = list(dict.fromkeys(_words(text)))
    return [word for word in words if word not in EMPTY] or words


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return WORD.findall(plain.replace("'", ""))


def _of_code(code: int) -> Entry:
    reason = reason_for_code(code)
    title, text = "Delivered", f"The receiver accepted the delivery. {ACT_LATER}"
    if reason:
        words = explain(reason, host="")
        title, text = words.title, f"{words.what_happened} {words.next_step}"
    return Entry(str(code), f"{code}: {title}", text, anchor_url(str(code)))


def _ranked(words: Sequence[str]) -> list[Entry]:
    """Return the entries that match the most of these words, highest weight first."""
    entries = [entry for name in TOPICS for entry in read(name)[1]]
    scored = [(_scores(entry, words), entry) for entry in entries]
    most = max(sum(map(bool, scores)) for scores, _ in scored)
    best = [(scores, entry) for scores, entry in scored if most == sum(map(bool, scores)) > 0]
    return [entry for _, entry in sorted(best, key=lambda hit: -sum(hit[0]))]


def _scores(entry: Entry, words: Sequence[str]) -> list[int]:
    heading, text = _words(entry.title), _words(entry.text)
    return [max(IN_TITLE * _fit(word, heading), _fit(word, text)) for word in words]


def _fit(word: str, among: Sequence[str]) -> int:
    """Return 2 for the exact word, 1 for a similar one, 0 for none."""
    return 2 if word in among else int(any(_are_alike(word, other) for other in among))


def _are_alike(word: str, other: str) -> bool:
    """Return whether one begins with the other, such as "cert" and "certificate"."""
    if len(word) < len(other):
        return len(word) >= SHORTEST_STEM and other.startswith(word)
    is_ending = len(word) - len(other) <= LONGEST_ENDING and len(other) > SHORTEST_STEM
    return is_ending and word.startswith(other)
