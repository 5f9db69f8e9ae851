"""A page as a small tree; strict about nesting."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source"}
    | {"track", "wbr"}
)
# Where these end, no space is seen.
INLINE = frozenset(
    {"a", "abbr", "b", "code", "em", "i", "span", "strong", "sub", "sup", "time", "u"}
)


@dataclass(slots=True)
class Node:
    """One element: `children` holds its elements and its texts, in order.

    Nobody changes it once the page is read, so what was looked for once is kept: each page is
    looked at by many rules.
    """

    tag: str
    attrs: dict[str, str] = field(default_factory=dict)
    children: list["Node | str"] = field(default_factory=list)
    parent: "Node | None" = None
    inside: list["Node"] = field(default_factory=list, repr=False)  # in the page's order
    _text: str | None = field(default=None, repr=False)

    def get(self, name: str, default: str = "") -> str:
        """An attribute's value; "" for one without a value."""
        return self.attrs.get(name, default)

    def has(self, name: str) -> bool:
        """Whether the attribute is there at all."""
        return name in self.attrs

    def walk(self) -> list["Node"]:
        """This element and everything in it, in the page's order."""
        return [self, *self.inside]

    def find_all(self, *tags: str) -> list["Node"]:
        """Every element inside (this one included) with one of these tags."""
        found = [node for node in self.inside if node.tag in tags]
        return [self, *found] if self.tag in tags else found

    def ancestors(self) -> Iterator["Node"]:
        """The elements around this one, the nearest first."""
        node = self.parent
        while node is not None:
            yield node
            node = node.parent

    @property
    def text(self) -> str:
        """The text inside with single spaces; scripts, styles and templates are left out."""
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
        self._begun = [0]  # where in that order what is inside of each open element begins

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
        """What is open still where the page ends, from the inside, and ends there."""
        nodes = [self.here, *self.here.ancestors()]
        for self.here in nodes:  # the last is the page itself
            self._end()
        return nodes[:-1]

    def _end(self) -> None:
        self.here.inside = self._order[self._begun.pop() :]


def parse(html: str) -> tuple[Node, list[str]]:
    """The page's tree, and what is wrong with its nesting."""
    builder = _Builder()
    builder.feed(html)
    builder.close()
    unclosed = [f"<{node.tag}> is never closed" for node in builder.never_closed()]
    return builder.root, builder.faults + unclosed
