"""Finding the place in the help that a few words, or a code, ask for."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from portal.engine.reasons import Reason, ReasonGroup, explain, reason_for_code
from portal.web.help.anchors import CODES, code_url, codes_by_reason, help_url
from portal.web.help.search_words import PAGES, REASON_WORDS, STATUS_WORDS
from portal.web.help.status_views import reasons_of, standings, statuses
from portal.web.help.texts import figures
from portal.web.help.topics import TOPICS

MOST_FOUND: Final = 20
LONGEST: Final = 120  # characters of a question
STATUS_PAGE: Final = "/help/delivery-status"
CODE: Final = re.compile(r"[1-9](?:\d\d|\dx|xx)", re.ASCII)
WORD: Final = re.compile(r"[^\W_]+")
SHORTEST_STEM: Final = 4
LONGEST_ENDING: Final = 2  # plural and the like
# They stand in every question, and tell nothing.
EMPTY: Final = frozenset(
    """a an and are at by can code do does error for from get got has have how http https i in is
    it me mean my not of on or our status that the this to was we what when where who why with
    you""".split()  # noqa: SIM905 - as a list it takes a page
)
TITLE, ALSO, TEXT = 6, 4, 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One place in the help. `also`: words that it is found by and that are not shown."""

    title: str
    text: str
    path: str
    also: str = ""


def find(question: str) -> list[Entry]:
    """Find what answers a question, the best first; what is read from a code comes before words."""
    words = words_of(question[:LONGEST])
    codes = [word for word in words if CODE.fullmatch(word)]
    by_code = chain.from_iterable(map(_of_code, codes))
    rest = [word for word in words if word not in codes]
    by_words = _ranked(rest) if rest else []
    return list({each.path: each for each in chain(by_code, by_words)}.values())[:MOST_FOUND]


def words_of(text: str) -> list[str]:
    """The words that tell something: small letters, no accents, each once."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = list(dict.fromkeys(WORD.findall(plain)))
    return [word for word in words if word not in EMPTY] or words


def entries() -> Iterator[Entry]:
    """Every place that can be found by words."""
    known = figures()
    for status in (*statuses(), *standings()):
        also = STATUS_WORDS.get(status.anchor, "")
        title = f"Status {status.tag.word}"
        if status.anchor.startswith("webhook-"):
            title = f"{title}, of a webhook"
        yield Entry(title, status.meaning, f"{STATUS_PAGE}#{status.anchor}", also)
    for group in ReasonGroup:
        for each in reasons_of(group):
            also = " ".join(REASON_WORDS.get(Reason(key), "") for key in each.anchors)
            words, path = each.words, f"{STATUS_PAGE}#{each.anchors[0]}"
            text = f"{words.what_happened} {words.next_step}"
            yield Entry(words.title, text, path, f"{also} {group.label} {each.codes_in_words}")
    for topic in TOPICS.values():
        for part in topic.entries:
            text = " ".join(part.text).format_map(known)
            also = f"{part.also} {topic.title}"
            yield Entry(part.title, text, f"/help/{topic.name}#{part.anchor}", also)
    yield from (Entry(*each) for each in PAGES)


def _of_code(text: str) -> Iterator[Entry]:
    """A code, or all that begin with the same digits: 422, 50x, 5xx."""
    first, last = int(text.replace("x", "0")), int(text.replace("x", "9"))
    if first == last:
        yield _one_code(first)
        return
    for reason, codes in codes_by_reason().items():
        inside = [code for code in codes if first <= code <= last]
        if reason is None and inside:
            yield _one_code(inside[0])
        elif reason is not None and inside:
            words = explain(reason, host="")
            yield Entry(words.title, _both(reason), help_url(reason))


def _one_code(code: int) -> Entry:
    reason = reason_for_code(code) if code in CODES else Reason.BAD_REPLY
    if reason is None:
        return Entry(f"{code}: delivered", "The receiver answered that it has it.", code_url(code))
    return Entry(f"{code}: {explain(reason, host='').title}", _both(reason), code_url(code))


def _both(reason: Reason) -> str:
    words = explain(reason, host="")
    return f"{words.what_happened} {words.next_step}"


def _ranked(words: Sequence[str]) -> list[Entry]:
    """Those that have every word; where there is none, those that have most of them."""
    points = [(_points(each, words), each) for each in entries()]
    most = max((len([n for n in scores if n]) for scores, _ in points), default=0)
    if not most:
        return []
    best = [(sum(scores), each) for scores, each in points if _count(scores) == most]
    return [each for _, each in sorted(best, key=lambda found: -found[0])]


def _count(scores: Iterable[int]) -> int:
    return sum(1 for each in scores if each)


def _points(entry: Entry, words: Sequence[str]) -> list[int]:
    parts = [(entry.title, TITLE), (entry.also, ALSO), (entry.text, TEXT)]
    known = [(WORD.findall(_plain(text)), worth) for text, worth in parts]
    return [max(_fit(word, *part) for part in known) for word in words]


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()


def _fit(word: str, among: Sequence[str], worth: int) -> int:
    """The worth once for a word that is alike, twice for the very word."""
    found = [other for other in among if _are_alike(word, other)]
    return 0 if not found else worth * 2 if word in found else worth


def _are_alike(one: str, other: str) -> bool:
    """The same, the beginning of it ("cert"), or with another ending ("timeouts")."""
    if len(one) <= len(other):
        return one == other or (len(one) >= SHORTEST_STEM - 1 and other.startswith(one))
    is_ending = len(one) - len(other) <= LONGEST_ENDING and len(other) >= SHORTEST_STEM
    return is_ending and one.startswith(other)
