"""Rules for every page of the portal. `lint(html)` returns a sentence per breach."""

import re
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

from portal.config.settings import ROOT
from tests.support.html import Node, parse
from tests.support.lint.known_names import unknown_names
from tests.support.lint.old_words import old_words

LOADING = {"src", "srcset", "action", "formaction", "data", "poster"}
LOADING_BY_HREF = {"link", "use", "image", "base"}
POINTING = {"for", "aria-describedby", "aria-labelledby", "aria-controls", "form", "list"}
UNLABELLED = {"hidden", "submit", "button", "reset", "image"}
TONES = set(re.findall(r"\.(tag-[a-z]+)\b", (ROOT / "static/css/components.css").read_text()))
WORDS_WE_AVOID = ("invalid", "please", "sorry")


def lint(html: str) -> list[str]:
    """Return a sentence for each breach in the page, none for a good page."""
    return breaches(*parse(html))


def breaches(root: Node, nesting: list[str]) -> list[str]:
    """Return the breaches of a parsed page, after the faults of its nesting."""
    return nesting + [words for rule in RULES for words in rule(root)]


def _one_heading(root: Node) -> Iterator[str]:
    headings = root.find_all("h1")
    if len(headings) != 1:
        yield f"there are {len(headings)} h1, not one"
    if headings and not headings[0].text:
        yield "the h1 is empty"


def _title_starts_with_heading(root: Node) -> Iterator[str]:
    titles = [node for node in root.find_all("title") if _in(node, "head")]
    title = titles[0].text if titles else ""
    heading = "".join(node.text for node in root.find_all("h1")[:1])
    if not title.removeprefix("Error: ").startswith(heading or "?"):
        yield f"the title “{title}” does not start with the h1 “{heading}”"
    has_summary = any("error-summary" in classes for _, classes in _classed(root))
    if has_summary != title.startswith("Error: "):
        yield f"the title “{title}” and the error summary do not agree"


def _errors_are_at_their_fields(root: Node) -> Iterator[str]:
    """Check that each error of the summary with a field is also shown at that field.

    In the summary, the error of a row starts with the row, such as "Condition 1: enter a value".
    """
    found = [node.text for node, classes in _classed(root) if "field-error" in classes]
    shown = "; ".join(found).lower()
    for summary, classes in _classed(root):
        for link in summary.find_all("a") if "error-summary" in classes else ():
            if link.text.rpartition(": ")[2].lower() not in shown:
                yield f"the error “{link.text}” is not shown at its field"


def _language_and_main(root: Node) -> Iterator[str]:
    if not all(node.get("lang") for node in root.find_all("html")):
        yield "the page does not say its language"
    if len(root.find_all("main")) != 1:
        yield "there is not one main"


def _levels(root: Node) -> Iterator[str]:
    before = 0
    for node in root.find_all("h1", "h2", "h3", "h4", "h5", "h6"):
        level = int(node.tag[1])
        if level > before + 1:
            yield f"the heading “{node.text}” jumps from h{before} to {node.tag}"
        before = level


def _forms_are_protected(root: Node) -> Iterator[str]:
    for form in root.find_all("form"):
        tokens = [node for node in form.find_all("input") if node.get("name") == "csrf_token"]
        posts = form.get("method").lower() == "post"
        if posts and not any(token.get("value") for token in tokens):
            yield f"the form to {form.get('action')!r} has no csrf_token"
        if not posts and tokens:
            yield f"the GET form to {form.get('action')!r} shows its csrf_token in the address"
        if any(parent.tag == "form" for parent in form.ancestors()):
            yield f"the form to {form.get('action')!r} stands in another form"


def _passwords_are_somebodys(root: Node) -> Iterator[str]:
    """Check that a password field comes with a username field, which password managers need.

    A form with autocomplete off passes, because a key among other fields is not a password.
    """
    for form in root.find_all("form"):
        shown = [node for node in form.find_all("input") if node.get("type") != "hidden"]
        kinds = {node.get("autocomplete") for node in shown}
        if kinds & {"new-password", "current-password"} and not kinds & {"username", "off"}:
            yield f"the form to {form.get('action')!r} does not say whose password it asks for"


def _ids(root: Node) -> Iterator[str]:
    counts = Counter(node.get("id") for node in root.walk() if node.has("id"))
    for name, count in counts.items():
        if not name or count > 1:
            yield f"the id {name!r} is there {count} times"
    for node in root.walk():
        for target in _targets(node) if node.attrs else ():
            if target not in counts:
                yield f"<{node.tag}> points to the missing id {target!r}"


def _targets(node: Node) -> list[str]:
    targets: list[str] = []
    for name, value in node.attrs.items():
        if name in POINTING:
            targets += value.split()
        elif name == "href" and value.startswith("#"):
            targets.append(value[1:])
    return targets


def _controls_have_labels(root: Node) -> Iterator[str]:
    labelled = {node.get("for") for node in root.find_all("label") if node.text}
    for node in root.find_all("input", "select", "textarea"):
        named = node.get("id") in labelled or node.get("aria-label") or node.get("aria-labelledby")
        if node.get("type") in UNLABELLED or node.has("hidden"):
            continue
        if not named and not _in(node, "label"):
            yield f"<{node.tag} name={node.get('name')!r}> has no label"
    for node in root.find_all("button", "a", "summary"):
        if not (node.text or node.get("aria-label") or node.get("aria-hidden") == "true"):
            yield f"<{node.tag}> has no words: {node.attrs}"
    for node in root.find_all("fieldset"):
        if not any(isinstance(c, Node) and c.tag == "legend" and c.text for c in node.children):
            yield "a fieldset has no legend"
    yield from ("an image has no alt" for node in root.find_all("img") if not node.has("alt"))


def _nothing_foreign(root: Node) -> Iterator[str]:
    for node in root.walk():
        for name, value in node.attrs.items():
            is_loading = name in LOADING or (name == "href" and node.tag in LOADING_BY_HREF)
            if is_loading and _is_foreign(value):
                yield f"<{node.tag}> loads from or sends to elsewhere: {value!r}"
        if node.tag == "a" and _is_foreign(node.get("href")):
            yield from _outward_link(node)


def _outward_link(node: Node) -> Iterator[str]:
    if urlsplit(node.get("href")).scheme not in {"http", "https", "mailto"}:
        yield f"a link has the address {node.get('href')!r}"
    elif "noreferrer" not in node.get("rel").split() and not node.get("href").startswith("mailto:"):
        yield f"the link to {node.get('href')!r} needs rel=noreferrer"


def _nothing_inline(root: Node) -> Iterator[str]:
    for node in root.walk():
        if node.tag == "style" or node.has("style"):
            yield f"<{node.tag}> has a style of its own"
        if node.tag == "script" and not node.has("src"):
            yield "there is a script in the page"
        yield from (f"<{node.tag}> has the handler {n}" for n in node.attrs if n.startswith("on"))


def _tables(root: Node) -> Iterator[str]:
    for table in root.find_all("table"):
        if not any(node.text for node in table.find_all("caption")):
            yield "a table has no caption"
        yield from (
            f"the heading cell “{cell.text}” has no scope"
            for cell in table.find_all("th")
            if not cell.get("scope")
        )


def _words(root: Node) -> Iterator[str]:
    """Check the words in our own texts, not in code or in texts that people typed."""
    ours = {"hint", "field-error", "notice"}
    nodes = root.find_all("label", "legend", "button", "h1", "h2", "h3")
    nodes += [node for node, classes in _classed(root) if not ours.isdisjoint(classes)]
    for node in nodes:
        words = {word.strip(".,:;!?").lower() for word in node.text.split()}
        yield from (f"“{node.text}” says “{w}”" for w in WORDS_WE_AVOID if w in words)


def _endings(root: Node) -> Iterator[str]:
    """Check that hints and field errors end without a full stop, and sentences with one."""
    for node in root.walk():
        if not ("class" in node.attrs or "id" in node.attrs):
            continue
        classes = node.get("class").split()
        is_short = "field-error" in classes or node.get("id").endswith("-hint")
        if is_short and node.text.endswith("."):
            yield f"“{node.text}” is a hint or an error, and ends with a full stop"
        last = node.children[-1] if node.children else ""
        if "lede" in classes and isinstance(last, str) and last.rstrip()[-1:].isalpha():
            yield f"“{node.text}” is a sentence, and ends without a full stop"


def _tones(root: Node) -> Iterator[str]:
    """Check the tones of tags, because an unknown one would go unnoticed in plain color."""
    for node, classes in _classed(root):
        tones = {name for name in classes if name.startswith("tag-")}
        yield from (f"“{node.text}” is a tag of no known tone: {t}" for t in sorted(tones - TONES))


def _success_of_nothing(root: Node) -> Iterator[str]:
    """Check that a notice about nothing done is not shown as a success."""
    for node, classes in _classed(root):
        if "notice-success" in classes and node.text.startswith(("Nothing", "Nobody")):
            yield f"“{node.text}” is told as a success"


def _classed(root: Node) -> Iterator[tuple[Node, list[str]]]:
    """Yield every element that has classes, with its classes."""
    return ((node, node.get("class").split()) for node in root.walk() if node.has("class"))


def _in(node: Node, tag: str) -> bool:
    return any(parent.tag == tag for parent in node.ancestors())


def _is_foreign(address: str) -> bool:
    parts = urlsplit(address.strip().replace("\\", "/"))
    return bool(parts.scheme or parts.netloc) and not address.startswith("data:image/")


RULES = (
    _one_heading,
    _title_starts_with_heading,
    _errors_are_at_their_fields,
    _language_and_main,
    _levels,
    _forms_are_protected,
    _passwords_are_somebodys,
    _ids,
    _controls_have_labels,
    _nothing_foreign,
    _nothing_inline,
    _tables,
    _words,
    _endings,
    _tones,
    _success_of_nothing,
    old_words,
    unknown_names,
)
