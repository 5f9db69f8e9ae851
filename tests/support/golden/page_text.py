"""A page as text to read and compare: a line for each thing that it says, asks or offers.

# Helpdesk                                   a heading
[Edit](/settings/webhooks/…/edit)            a link and where it leads
[ Turn off ] → POST /settings/webhooks/…/off a button and what it sends; [!! Delete ] in red
<Needs attention !>                          the tag of a status, and its tone
Webhook name: “Helpdesk” {maxlength 100}     a field, what stands in it, what browsers are told
  hint: For example: Sync to ERP
[x] Asset created                            a box that is ticked, (o) a choice that is made
| Event | Status |                           a table, row by row
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from tests.support.html import INLINE, Node

UNSEEN: Final = frozenset({"head", "script", "style", "template", "svg", "meta", "link"})
IN_A_LINE: Final = INLINE | {"button", "input", "label", "select", "small", "textarea"}
HEADINGS: Final = ("h1", "h2", "h3", "h4", "h5", "h6")
TONES: Final = {"danger": "!!", "warning": "!", "success": "ok", "info": "i"}
DOTS: Final = {"is-bad": "!!", "is-warning": "!", "is-good": "ok"}
STEP: Final = "  "
ITEM: Final = "- "


def page_text(*parts: Node) -> str:
    """What these parts of a page say, ending with a line end."""
    writer = _Writer()
    for part in parts:
        writer.walk(part)
        writer.end_line()
    return re.sub(r"\n{3,}", "\n\n", "\n".join(writer.lines)).strip() + "\n"


class _Writer:
    """Goes through a page once. `line` is the one that is being written."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.line = ""
        self.start = ""
        self.depth = 0
        self.separator = ""

    def walk(self, node: Node) -> None:
        """Everything in it, in order."""
        for child in node.children:
            if isinstance(child, str):
                self.line += child
            elif not _is_unseen(child):
                self.write(child)

    def write(self, node: Node) -> None:
        """One element."""
        classes = node.get("class").split()
        if "tag" in classes:
            self.line += f" <{' '.join([node.text, *_tones(classes, 'tag')])}> "
        elif "status" in classes:
            dots = [sign for dot, sign in DOTS.items() if dot in classes]
            self.line += f" <{' '.join([node.text, *dots])}> "
        elif writer := WRITERS.get(node.tag):
            writer(self, node)
        elif node.tag in IN_A_LINE:
            self.walk(node)
        else:
            self.block(node)

    def block(self, node: Node) -> None:
        """What begins and ends a line."""
        self.end_line()
        classes = node.get("class").split()
        if tones := _tones(classes, "notice"):
            self.start = f"{tones[0]} "
        if "hint" in classes or "field-error" in classes:
            self.inside(node, "hint: " if "hint" in classes else "")
            return
        self.walk(node)
        self.end_line()
        self.start = ""

    def inside(self, node: Node, start: str = "") -> None:
        """Set off to the right."""
        self.end_line()
        self.depth += 1
        self.start = start
        self.walk(node)
        self.end_line()
        self.depth -= 1

    def end_line(self) -> None:
        """Put the line down, if there is anything in it."""
        text = " ".join(self.line.split()).removesuffix(self.separator).strip()
        self.line = ""
        if text and self.start == ITEM:
            self.lines.append(f"{STEP * (self.depth - 1)}{ITEM}{text}")
        elif text:
            self.put(f"{self.start}{text}")
        if text:
            self.start = ""

    def put(self, text: str) -> None:
        """A whole line."""
        self.lines.append(f"{STEP * self.depth}{text}")

    def said(self, node: Node) -> str:
        """What an element says, on one line."""
        inner = _Writer()
        inner.walk(node)
        inner.end_line()
        return " ".join(line.strip() for line in inner.lines)


def _heading(writer: _Writer, node: Node) -> None:
    writer.end_line()
    writer.start = ""
    writer.lines.append("")
    writer.put(f"{'#' * int(node.tag[1])} {writer.said(node)}")


def _link(writer: _Writer, node: Node) -> None:
    here = " (here)" if node.has("aria-current") else ""
    sign = "".join(f"{each} " for each in _tones(node.get("class").split(), "btn"))
    writer.line += f"[{sign}{writer.said(node)}]({node.get('href')}){here}"


def _button(writer: _Writer, node: Node) -> None:
    if words := writer.said(node):
        sign = "".join(_tones(node.get("class").split(), "btn"))
        writer.line += f" [{sign} {words} ] "


def _navigation(writer: _Writer, node: Node) -> None:
    writer.end_line()
    writer.line, writer.separator = f"{node.get('aria-label')}: ", "·"
    writer.walk(node)
    writer.end_line()
    writer.separator = ""


def _item(writer: _Writer, node: Node) -> None:
    if writer.separator:
        writer.walk(node)
        writer.line += f" {writer.separator} "
        return
    writer.inside(node, ITEM)
    writer.start = ""


def _list(writer: _Writer, node: Node) -> None:
    if writer.separator:
        writer.walk(node)
    else:
        writer.end_line()
        writer.walk(node)
        writer.end_line()


def _term(writer: _Writer, node: Node) -> None:
    writer.end_line()
    writer.line = f"{writer.said(node)}: "


def _details(writer: _Writer, node: Node) -> None:
    for child in node.find_all("summary")[:1]:
        writer.end_line()
        writer.put(f"{'▾' if node.has('open') else '▸'} {writer.said(child)}")
    writer.inside(node)


def _fieldset(writer: _Writer, node: Node) -> None:
    for child in node.find_all("legend")[:1]:
        writer.end_line()
        writer.put(f"{writer.said(child)}:")
    writer.inside(node)


def _already_said(_writer: _Writer, _node: Node) -> None:
    """A summary, a legend: their parent has written them."""


def _form(writer: _Writer, node: Node) -> None:
    goes = f"→ {node.get('method', 'get').upper()} {node.get('action') or 'this page'}"
    controls = [each for each in node.find_all(*CONTROLS, "button") if not _is_unseen(each)]
    if len(controls) == 1 and controls[0].tag == "button":
        _button(writer, controls[0])
        writer.line += f"{goes} "
        return
    writer.end_line()
    writer.put(f"Form {goes}")
    writer.inside(node)


def _label(writer: _Writer, node: Node) -> None:
    control = _labelled(node)
    if control is None:
        writer.walk(node)
        return
    writer.end_line()
    writer.put(_filled_in(control, writer.said(node)))


def _control(writer: _Writer, node: Node) -> None:
    if _label_of(node) is None:
        writer.line += f" {_filled_in(node, node.get('aria-label'))} "


def _table(writer: _Writer, node: Node) -> None:
    writer.end_line()
    writer.lines.append("")
    for caption in node.find_all("caption"):
        writer.put(f"Table: {writer.said(caption)}")
    for row in node.find_all("tr"):
        cells = [writer.said(cell) for cell in row.find_all("td", "th")]
        writer.put(f"| {' | '.join(cells)} |")
    writer.lines.append("")


def _small(writer: _Writer, node: Node) -> None:
    writer.line += f" {writer.said(node)} "


def _code(writer: _Writer, node: Node) -> None:
    writer.end_line()
    lines = _typed(node).splitlines()
    writer.lines += [f"{STEP * (writer.depth + 2)}{line}".rstrip() for line in lines]


CONTROLS: Final = ("input", "select", "textarea")
AIDS: Final = (
    *("type", "rows", "accept", "multiple", "min", "max", "step", "placeholder", "pattern"),
    *("maxlength", "inputmode", "autocomplete", "spellcheck", "autocapitalize"),
)
USUAL: Final = frozenset({"type text", "type file"})
WIDTH: Final = "width-"
WRITERS: Final[Mapping[str, Callable[[_Writer, Node], None]]] = {
    **dict.fromkeys(HEADINGS, _heading),
    **dict.fromkeys(CONTROLS, _control),
    "a": _link,
    "button": _button,
    "dd": _Writer.walk,
    "details": _details,
    "dt": _term,
    "fieldset": _fieldset,
    "form": _form,
    "label": _label,
    "legend": _already_said,
    "li": _item,
    "nav": _navigation,
    "ol": _list,
    "pre": _code,
    "small": _small,
    "summary": _already_said,
    "table": _table,
    "ul": _list,
}


def _tones(classes: list[str], kind: str) -> list[str]:
    """The sign of its tone, of those that have one."""
    return [sign for tone, sign in TONES.items() if f"{kind}-{tone}" in classes]


def _is_unseen(node: Node) -> bool:
    return node.tag in UNSEEN or node.has("hidden") or node.get("type") == "hidden"


def _typed(node: Node) -> str:
    """The text inside with every space and line end."""
    return "".join(each if isinstance(each, str) else _typed(each) for each in node.children)


def _root(node: Node) -> Node:
    return [node, *node.ancestors()][-1]


def _labelled(label: Node) -> Node | None:
    """The control that a label belongs to."""
    wanted = label.get("for")
    for node in _root(label).find_all(*CONTROLS) if wanted else ():
        if node.get("id") == wanted:
            return node
    return None


def _label_of(control: Node) -> Node | None:
    for node in _root(control).find_all("label") if control.get("id") else ():
        if node.get("for") == control.get("id"):
            return node
    return None


def _filled_in(control: Node, label: str) -> str:
    """A control with its label and what stands in it."""
    kind = control.get("type")
    if kind in {"checkbox", "radio"}:
        left, mark, right = "[x]" if kind == "checkbox" else "(o)"
        return f"{left}{mark if control.has('checked') else ' '}{right} {label}"
    if control.tag == "select":
        return f"{label}: {_choice(control)}"
    value = control.text if control.tag == "textarea" else control.get("value")
    typed = "a file" if kind == "file" else f"“{value}”"
    return f"{label}: {typed}{_aids(control)}"


def _aids(control: Node) -> str:
    """What browsers are told of what is typed there, and how wide it stands."""
    told = [f"{name} {control.get(name)}".strip() for name in AIDS if control.has(name)]
    classes = control.get("class").split()
    told += [css.removeprefix(WIDTH) for css in classes if css.startswith(WIDTH)]
    told = [each for each in told if each not in USUAL]
    return f" {{{', '.join(told)}}}" if told else ""


def _choice(control: Node) -> str:
    options = control.find_all("option")
    chosen = [option.text for option in options if option.has("selected")] or [options[0].text]
    return f"“{', '.join(chosen)}” of {', '.join(option.text for option in options)}"
