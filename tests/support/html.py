"""Parse a page into a small tree, strict about nesting."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source"}
    | {"track", "wbr"}
)
# No space is visible where these end.
INLINE = frozenset(
    {"a", "abbr", "b", "code", "em", "i", "span", "strong", "sub", "sup", "time", "u"}
)


@dataclass(slots=True)
class Node:
    """One element. `children` holds its elements and texts in order.

    Nothing changes it after parsing, so results are cached, because many lint rules read each page.
    """

    tag: str
    attrs: dict[str, str] = field(default_factory=dict)
    children: list["Node | str"] = field(default_factory=list)
    parent: "Node | None" = None
    inside: list["Node"] = field(default_factory=list, repr=False)  # in the page's order
    _text: str | None = field(default=None, repr=False)

    def get(self, name: str, default: str = "") -> str:
        """Return an attribute's value, "" if it has none, or `default` if it is missing."""
        return self.attrs.get(name, default)

    def has(self, name: str) -> bool:
        """Return True if the attribute is present, with or without a value."""
        return name in self.attrs

    def walk(self) -> list["Node"]:
        """Return this element and all elements in it, in page order."""
        return [self, *self.inside]

    def find_all(self, *tags: str) -> list["Node"]:
        """Return every element inside (this one included) with one of these tags."""
        nodes = [node for node in self.inside if node.tag in tags]
        return [self, *nodes] if self.tag in tags else nodes

    def ancestors(self) -> Iterator["Node"]:
        """Yield the elements around this one, the nearest first."""
        node = self.parent
        while node is not None:
            yield node
            node = node.parent

    @property
    def text(self) -> str:
        """Return the text inside with single spaces, without scripts, styles, and templates."""
        if self._text is None:
            self._text = " ".join("".join(self._texts()).split())
        return self._text

    def _texts(self) -> Iterator[str]:
        for child in self.children:
            if isinstance(child, str):
                yield child
            elif child.tag not in {"script", "style", "template", "head"} or self.tag == child.tag:
                yield from child._texts()
                yield "" if child.tag in INLINE else " "


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("#document")
        self.here = self.root
        self.faults: list[str] = []
        self._order: list[Node] = []
        self._begun = [0]  # for each open element, the index of its first descendant in that order

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        self.faults += [
            f"<{tag}> repeats its attribute {name}" for name in set(names) if names.count(name) > 1
        ]
        node = Node(tag, {name: value or "" for name, value in attrs}, parent=self.here)
        self.here.children.append(node)
        self._order.append(node)
        if tag not in VOID:
            self.here = node
            self._begun.append(len(self._order))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag == self.here.tag and self.here.parent is not None:
            self._end()
            self.here = self.here.parent
        else:
            line, column = self.getpos()
            self.faults.append(f"</{tag}> at {line}:{column} closes <{self.here.tag}>")

    def handle_data(self, data: str) -> None:
        self.here.children.append(data)

    def never_closed(self) -> list[Node]:
        """Close the elements left open at the end of the page. Returns them, innermost first."""
        nodes = [self.here, *self.here.ancestors()]
        for self.here in nodes:  # the last is the page itself
            self._end()
        return nodes[:-1]

    def _end(self) -> None:
        self.here.inside = self._order[self._begun.pop() :]


def parse(html: str) -> tuple[Node, list[str]]:
    """Return the page's tree and the faults of its nesting."""
    builder = _Builder()
    builder.feed(html)
    builder.close()
    unclosed = [f"<{node.tag}> is never closed" for node in builder.never_closed()]
    return builder.root, builder.faults + unclosed
