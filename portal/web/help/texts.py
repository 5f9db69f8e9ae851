"""What a help text is made of."""

from dataclasses import dataclass

Link = tuple[str, str]  # words, path


@dataclass(frozen=True, slots=True)
class Passage:
    """One question and its answer. `text`: paragraphs, with the names of `figures` in braces.

    `also`: words that people may search for, and that do not stand in the text.
    """

    anchor: str
    title: str
    text: tuple[str, ...]
    links: tuple[Link, ...] = ()
    also: str = ""


@dataclass(frozen=True, slots=True)
class Topic:
    """One help page at `/help/<name>`."""

    name: str
    title: str
    lede: str
    passages: tuple[Passage, ...]
