"""A browser for tests: Flask's client that lints every page and fills in forms.

pages = Pages(app)
pages.sign_in("ana@example.com", "a long pass phrase")
page = pages.get("/settings/webhooks/new")
page = pages.submit(page.form("/settings/webhooks/new"), name="Sync", url="https://…")
"""

from collections.abc import Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit

from flask import Flask, has_app_context, message_flashed
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from portal.extensions import db
from tests.support.html import Node, parse
from tests.support.lint.page_lint import breaches

REDIRECTS = {301, 302, 303, 307, 308}
MOST_REDIRECTS = 5
# The kinds of flash messages with a color and an icon (templates/base.html).
FLASHED = {"success", "info", "warning", "error"}

# The fields to send: one value per name, or several for a repeated field.
Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Form:
    """A form on a page, with its target and the fields that a browser would send unchanged."""

    node: Node
    action: str
    method: str

    @property
    def fields(self) -> dict[str, list[str]]:
        """Return the values of every successful control by name, without buttons."""
        values_by_name: dict[str, list[str]] = {}
        for control in self.node.find_all("input", "select", "textarea"):
            if control.get("name") and not control.has("disabled") and not _in_template(control):
                values_by_name.setdefault(control.get("name"), []).extend(_values(control))
        return {name: values for name, values in values_by_name.items() if values}

    @property
    def hidden(self) -> dict[str, list[str]]:
        """Return the hidden fields: csrf_token, once, version."""
        names = {n.get("name") for n in self.node.find_all("input") if n.get("type") == "hidden"}
        return {name: values for name, values in self.fields.items() if name in names}

    @property
    def buttons(self) -> list[str]:
        """Return the words on the form's buttons."""
        nodes = self.node.find_all("button")
        return [node.text for node in nodes if node.text and not _in_template(node)]


@dataclass(frozen=True, slots=True)
class Page:
    """One response. `path` is the path after the followed redirects."""

    path: str
    status: int
    html: str
    root: Node
    response: TestResponse

    @property
    def text(self) -> str:
        """Return all text of the page on one line."""
        return " ".join(node.text for node in self.root.find_all("body"))

    @property
    def main(self) -> str:
        """Return the text between header and footer."""
        return " ".join(node.text for node in self.root.find_all("main"))

    @property
    def h1(self) -> str:
        """Return the page's heading."""
        return " ".join(node.text for node in self.root.find_all("h1"))

    @property
    def title(self) -> str:
        return " ".join(node.text for node in self.root.find_all("title")[:1])

    @property
    def here(self) -> list[str]:
        """Return the texts of the current section and tab (aria-current)."""
        return [node.text for node in self.root.walk() if node.has("aria-current")]

    @property
    def errors(self) -> list[str]:
        """Return the lines of the error summary."""
        summaries = [n for n in self.root.walk() if "error-summary" in n.get("class").split()]
        return [item.text for node in summaries for item in node.find_all("li")]

    @property
    def wrong(self) -> list[str]:
        """Return the fields that the error summary links to."""
        summaries = [n for n in self.root.walk() if "error-summary" in n.get("class").split()]
        links = [link.get("href") for node in summaries for link in node.find_all("a")]
        # For a field with several buttons, the link leads to the first one.
        return [link.removeprefix("#").removesuffix("-0") for link in links]

    @property
    def tone(self) -> str:
        """Return the tone of the only flash message: success, info, warning, or danger."""
        ((tone, _words),) = self.flashes
        return tone

    @property
    def flashes(self) -> list[tuple[str, str]]:
        """Return the tone and the words of each flash message."""
        (place,) = [n for n in self.root.walk() if n.get("class") == "flashes"]
        notices = [node for node in place.find_all("div") if "notice" in (node.get("class") or "")]
        return [(node.get("class").rpartition("notice-")[2], node.text) for node in notices]

    @property
    def location(self) -> str:
        """Return the target of a redirect that was not followed."""
        return _path(self.response.headers.get("Location", ""))

    @property
    def forms(self) -> list[Form]:
        """Return the page's forms in order."""
        return [
            Form(node, urljoin(self.path, node.get("action")), node.get("method", "get").lower())
            for node in self.root.find_all("form")
        ]

    def form(self, action: str | None = None) -> Form:
        """Return the form with the path `action`, or else the first one in main."""
        for form in self.forms:
            in_main = any(parent.tag == "main" for parent in form.node.ancestors())
            if (action is None and in_main) or _path(form.action) == action:
                return form
        raise LookupError(f"{self.path} has no form to {action}: {[f.action for f in self.forms]}")

    def links(self, words: str | None = None) -> list[str]:
        """Return the addresses of all links, or of those whose text contains `words`."""
        nodes = [node for node in self.root.find_all("a") if node.has("href")]
        return [node.get("href") for node in nodes if words is None or words in node.text]

    def rows(self) -> list[list[str]]:
        """Return the cells' texts of every table row below the headings.

        Leaves out the table of webhooks in trouble above a list.
        """
        tables = [node for node in self.root.find_all("table") if "ptable" not in node.get("class")]
        bodies = [body for table in tables for body in table.find_all("tbody")]
        rows = [row for body in bodies for row in body.find_all("tr")]
        return [[cell.text for cell in row.find_all("td", "th")] for row in rows]


class Client(FlaskClient):
    """A client that runs each request in its own context, like a server.

    In the test's own application context, all visitors would share `g` and its signed-in person.
    """

    def open(self, *args: Any, **options: Any) -> TestResponse:
        """Send the request, then let the test's session see its changes."""
        answer: TestResponse = Context().run(super().open, *args, **options)
        if has_app_context():
            db.session.rollback()
        return answer


class Pages:
    """A person at a browser. `page` is the page that is open."""

    def __init__(self, app: Flask) -> None:
        self.client = Client(app, app.response_class, use_cookies=True)
        self.page: Page | None = None

    def get(self, path: str, *, follow: bool = True, **options: Any) -> Page:
        """Open a path."""
        return self._show(self.client.get(path, buffered=True, **options), path, follow)

    def post(self, path: str, data: Values = {}, *, follow: bool = True, **options: Any) -> Page:  # noqa: B006 - never changed
        """Send `data` with the hidden fields (csrf_token, once …) of the form on the open page."""
        sent = {**self._hidden_for(path), **_listed(data)}
        return self._show(self.client.post(path, data=sent, buffered=True, **options), path, follow)

    def submit(
        self, form: Form, button: str | None = None, /, *, follow: bool = True, **data: Any
    ) -> Page:
        """Send a form as a browser does, with its values changed by `data`.

        None removes a field (an unchecked box). `button` is the text of the pressed button.
        """
        changed = {name: value for name, value in data.items() if value is not None}
        kept = {name: value for name, value in form.fields.items() if name not in data}
        pressed = _pressed(form, button)
        own = {pressed.get("name"): pressed.get("value")} if pressed.get("name") else {}
        sent = {**kept, **_listed(changed), **own}
        action = urldefrag(urljoin(form.action, pressed.get("formaction"))).url
        if pressed.get("formmethod", form.method) == "get":
            response = self.client.get(action, query_string=sent, buffered=True)
        else:
            response = self.client.post(action, data=sent, buffered=True)
        return self._show(response, action, follow)

    def follow(self, words: str) -> Page:
        """Open the only link that contains `words`."""
        assert self.page is not None, "no page is open"
        targets = sorted(set(self.page.links(words)))
        assert len(targets) == 1, f"{len(targets)} links say {words!r} on {self.page.path}"
        return self.get(urljoin(self.page.path, targets[0]))

    def sign_in(self, email: str, password: str) -> Page:
        """Sign in through the page, and return the page after it."""
        page = self.get("/sign-in")
        return self.submit(page.form("/sign-in"), email=email, password=password)

    def sign_out(self) -> Page:
        """Press Sign out in the account menu of the open page."""
        assert self.page is not None, "no page is open"
        return self.submit(self.page.form("/sign-out"))

    def _show(self, response: TestResponse, path: str, follow: bool) -> Page:
        for _ in range(MOST_REDIRECTS):
            if not follow or response.status_code not in REDIRECTS:
                break
            path = _path(urljoin(path, response.headers["Location"]), query=True)
            response = self.client.get(path, buffered=True)
        page, nesting = _page_of(response, path)
        if response.mimetype == "text/html" and response.status_code not in REDIRECTS:
            faults = breaches(page.root, nesting)
            assert not faults, f"{path}: " + "; ".join(faults)
            is_refused = response.status_code == 400 and any("once" in f.hidden for f in page.forms)
            assert page.errors or not is_refused, f"{path} shows a refused form without a reason"
            self.page = page
        return page

    def _hidden_for(self, path: str) -> dict[str, list[str]]:
        """Return the hidden fields of the form to this path, or any csrf_token on the page."""
        forms = [form for form in (self.page.forms if self.page else []) if form.method == "post"]
        for form in forms:
            if _path(form.action) == _path(path):
                return form.hidden
        tokens = [form.hidden["csrf_token"] for form in forms if "csrf_token" in form.hidden]
        return {"csrf_token": tokens[0]} if tokens else {}


@message_flashed.connect
def _has_a_colour(_app: Flask, *, message: str, category: str) -> None:
    """Refuse a flash message of an unknown category, which a page would show as information."""
    assert category in FLASHED, f"{message!r} is told as {category!r}"


def _page_of(response: TestResponse, path: str) -> tuple[Page, list[str]]:
    """Return the page and the faults of its nesting."""
    kind = response.mimetype or ""
    html = response.text if kind.startswith("text/") or kind.endswith("json") else ""
    root, nesting = parse(html) if kind == "text/html" else (Node("#document"), [])
    return Page(path, response.status_code, html, root, response), nesting


def _path(address: str, *, query: bool = False) -> str:
    parts = urlsplit(address)
    return f"{parts.path}?{parts.query}" if query and parts.query else parts.path


def _listed(data: Values) -> dict[str, Any]:
    """Turn all values except lists and files into text."""
    return {
        name: value if isinstance(value, list | tuple) or hasattr(value, "read") else str(value)
        for name, value in data.items()
    }


def _pressed(form: Form, words: str | None) -> Node:
    """Return the button with the text `words`. For None, return a button without attributes."""
    if words is None:
        return Node("button")
    for node in form.node.find_all("button"):
        if node.text == words:
            return node
    raise LookupError(f"no button says {words!r}: {form.buttons}")


def _values(control: Node) -> Sequence[str]:
    if control.tag == "select":
        return _chosen(control)
    if control.tag == "textarea":
        return [_typed(control)]
    kind = control.get("type", "text")
    if kind in {"checkbox", "radio"}:
        return [control.get("value", "on")] if control.has("checked") else []
    return [] if kind in {"submit", "button", "reset", "image", "file"} else [control.get("value")]


def _typed(area: Node) -> str:
    """Return a textarea's text as sent: without the line end after its tag, the others as CRLF."""
    text = "".join(child for child in area.children if isinstance(child, str))
    return text.replace("\r\n", "\n").removeprefix("\n").replace("\n", "\r\n")


def _chosen(select: Node) -> list[str]:
    options = select.find_all("option")
    chosen = [option for option in options if option.has("selected")]
    if not chosen and not select.has("multiple"):
        chosen = options[:1]
    return [option.get("value") if option.has("value") else option.text for option in chosen]


def _in_template(node: Node) -> bool:
    return any(parent.tag == "template" for parent in node.ancestors())
