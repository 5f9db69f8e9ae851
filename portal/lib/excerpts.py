"""Parts of long texts: in which two of them differ, or where one says something."""

from typing import Final

LONGEST: Final = 160


def excerpts(before: str, after: str, longest: int = LONGEST) -> tuple[str, str]:
    """Both texts from about where they begin to differ, `longest` characters of each and an "…".

    Two characters more are no reason to shorten: so what was shortened once stays as it is.
    """
    if max(len(before), len(after)) <= longest + 2:
        return before, after
    # A quarter of what is shown is what they share, so that one knows where it is.
    lead, same = longest // 4, _shared(before, after)
    start = same - lead if same > longest // 2 else 0
    return _cut(before, start, longest), _cut(after, start, longest)


def around(text: str, at: int, longest: int = LONGEST) -> str:
    """Return what stands around this place of a text, `longest` characters of it and an "…"."""
    return _cut(text, max(min(at - longest // 4, len(text) - longest), 0), longest)


def _shared(before: str, after: str) -> int:
    """How many characters both begin with."""
    pairs = enumerate(zip(before, after, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(before), len(after)))


def _cut(text: str, start: int, longest: int) -> str:
    more = "…" if len(text) > start + longest else ""
    return f"{'…' if start else ''}{text[start : start + longest]}{more}"
