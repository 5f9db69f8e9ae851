"""A page as text to read and compare: one line per text, field, or button.

# Helpdesk                                   a heading
[Edit](/settings/webhooks/…/edit)            a link and its target
[ Turn off ] → POST /settings/webhooks/…/off a button and its request, [!! Delete ] in red
<Needs attention !>                          the tag of a status, and its tone
Webhook name: “Helpdesk” {maxlength 100}     a field, its value, its attributes for browsers
  hint: For example: Sync to ERP
[x] Asset created                            a checked box, (o) a selected choice
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
    """Return these parts of a page as text with a final line end."""
    writer = _Writer()
    for part in parts:
        writer.walk(part)
        writer.end_line()
    return re.sub(r"\n{3,}", "\n\n", "\n".join(writer.lines)).strip() + "\n"


class _Writer:
    """A single pass through a page. `line` is the unfinished line."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.line = ""
        self.start = ""
        self.depth = 0
        self.separator = ""

    def walk(self, node: Node) -> None:
        """Write the element's content in order."""
        for child in node.children:
            if isinstance(child, str):
                self.line += child
            elif not _is_unseen(child):
                self.write(child)

    def write(self, node: Node) -> None:
        """Write one element."""
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
        """Write an element that starts and ends a line."""
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
        """Write the element indented."""
        self.end_line()
        self.depth += 1
        self.start = start
        self.walk(node)
        self.end_line()
        self.depth -= 1

    def end_line(self) -> None:
        """Finish the line, unless it is empty."""
        text = " ".join(self.line.split()).removesuffix(self.separator).strip()
        self.line = ""
        if text and self.start == ITEM:
            self.lines.append(f"{STEP * (self.depth - 1)}{ITEM}{text}")
        elif text:
            self.put(f"{self.start}{text}")
        if text:
            self.start = ""

    def put(self, text: str) -> None:
        """Add a whole line with its indent."""
        self.lines.append(f"{STEP * self.depth}{text}")

    def said(self, node: Node) -> str:
        """Return an element's text on one line."""
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
    sign = "".join(f"{tone} " for tone in _tones(node.get("class").split(), "btn"))
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
    """Skip a summary or a legend, which its parent has written."""


def _form(writer: _Writer, node: Node) -> None:
    target = f"→ {node.get('method', 'get').upper()} {node.get('action') or 'this page'}"
    controls = [
        control for control in node.find_all(*CONTROLS, "button") if not _is_unseen(control)
    ]
    if len(controls) == 1 and controls[0].tag == "button":
        _button(writer, controls[0])
        writer.line += f"{target} "
        return
    writer.end_line()
    writer.put(f"Form {target}")
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
    """Return the sign of the element's tone, or [] without one."""
    return [sign for tone, sign in TONES.items() if f"{kind}-{tone}" in classes]


def _is_unseen(node: Node) -> bool:
    return node.tag in UNSEEN or node.has("hidden") or node.get("type") == "hidden"


def _typed(node: Node) -> str:
    """Return the text inside with all spaces and line ends."""
    return "".join(child if isinstance(child, str) else _typed(child) for child in node.children)


def _root(node: Node) -> Node:
    return [node, *node.ancestors()][-1]


def _labelled(label: Node) -> Node | None:
    """Return the control that a label belongs to."""
    control_id = label.get("for")
    for node in _root(label).find_all(*CONTROLS) if control_id else ():
        if node.get("id") == control_id:
            return node
    return None


def _label_of(control: Node) -> Node | None:
    for node in _root(control).find_all("label") if control.get("id") else ():
        if node.get("for") == control.get("id"):
            return node
    return None


def _filled_in(control: Node, label: str) -> str:
    """Return a control with its label and value."""
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
    """Return the control's attributes for browsers, and its width."""
    aids = [f"{name} {control.get(name)}".strip() for name in AIDS if control.has(name)]
    classes = control.get("class").split()
    aids += [css.removeprefix(WIDTH) for css in classes if css.startswith(WIDTH)]
    aids = [aid for aid in aids if aid not in USUAL]
    return f" {{{', '.join(aids)}}}" if aids else ""


def _choice(control: Node) -> str:
    options = control.find_all("option")
    chosen = [option.text for option in options if option.has("selected")] or [options[0].text]
    return f"“{', '.join(chosen)}” of {', '.join(option.text for option in options)}"
