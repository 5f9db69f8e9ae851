"""The frame of every page, with template helpers, navigation, and security headers."""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, cast

from flask import Flask, Response, current_app, g, request, url_for
from markupsafe import Markup, escape
from wtforms import Field, FieldList, Form, FormField, RadioField, SelectMultipleField

from portal.config.settings import Settings
from portal.lib.typed_text import harmless
from portal.services.mail.mails import is_mailbox
from portal.web.frame import status_tags
from portal.web.frame.glyphs import GLYPHS
from portal.web.frame.wording import WORDS

# A query value about a person's last action only, which links on the page don't keep.
RETRIED: Final = "retried"
# The browser's choice. Without one, the system decides (portal/web/people/account_views.py).
THEME_COOKIE: Final = "theme"
THEMES: Final = ("light", "dark")


class PageResponse(Response):
    """A response that can encode any text."""

    def set_data(self, value: bytes | str) -> None:
        """Replace characters without UTF-8 by question marks."""
        super().set_data(value.encode(errors="replace") if isinstance(value, str) else value)


def init_app(app: Flask) -> None:
    """Set up the frame. By default, `can` denies everything, and there are no problems."""
    app.response_class = PageResponse
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.setdefault("can", lambda _permission: False)
    app.jinja_env.globals.setdefault("attention", dict)
    app.jinja_env.globals.setdefault("sending_stop", lambda: None)
    app.jinja_env.globals.setdefault("offline_senders", list)
    app.jinja_env.globals.update(WORDS)
    app.jinja_env.filters["harmless"] = harmless
    app.jinja_env.globals.update(
        {
            "as_hint": as_hint,
            "blank_row": blank_row,
            "described_by": described_by,
            "icon_svg": icon,
            "is_hidden": is_hidden,
            "local_trial": local_trial,
            "messages_of": messages,
            "navigation": navigation,
            "organization": organization,
            "page_url": page_url,
            "problems": problems,
            "section_here": section_here,
            "static_url": static_url,
            "target_id": target_id,
            "theme_chosen": theme_chosen,
            "delivery_tag": status_tags.DELIVERY.__getitem__,
            "webhook_tag": status_tags.webhook_tag,
            "asset_tag_of": status_tags.ASSET.__getitem__,
            "person_tag": status_tags.PERSON.__getitem__,
        }
    )
    app.after_request(add_security_headers)


def page_url(**changes: Any) -> str:
    """Return this page's URL with some query values changed. None removes a value.

    A file or a question with an unreadable filter shows a list instead, and `g.page_endpoint` is
    the endpoint of that list.
    """
    kept = {name: request.args.getlist(name) for name in request.args if name != RETRIED}
    values = {**kept, **(request.view_args or {}), **changes}
    return url_for(g.get("page_endpoint") or request.endpoint or "", **values)


def theme_chosen() -> str:
    """Return the reader's choice in this browser, light or dark, or "" if the system decides."""
    chosen = request.cookies.get(THEME_COOKIE)
    return chosen if chosen in THEMES else ""


def organization() -> str:
    """Return the organization's name."""
    settings: Settings = current_app.extensions["settings"]
    return settings.organization


def local_trial() -> str:
    """Return the notice of a local trial for every page, or "" outside of one."""
    settings: Settings = current_app.extensions["settings"]
    if not settings.local_trial:
        return ""
    opens = ". Webhooks can reach this computer" if settings.opens_this_machine else ""
    return f"This is a local trial{opens}. Don’t use it for real work."


# Placeholder of a new row's number. static/js/rows.js puts the number there.
ROW_NUMBER: Final = "__row__"


@dataclass(frozen=True, slots=True)
class Problem:
    """One line of the error summary. `target` is the id of the control it links to, if any."""

    message: str
    target: str


def problems(form: Form | None) -> list[Problem]:
    """Return everything that keeps the form from being saved, in the order of its fields."""
    if form is None:
        return []
    whole = [Problem(as_hint(str(message)), "") for message in form.form_errors]
    return whole + [problem for field in form for problem in _of_field(field)]


def messages(field: Field) -> list[str]:
    """Return the field's own messages, without those of fields inside it."""
    errors: Sequence[object] = field.errors  # a list of fields also has its entries' errors
    own = (error for error in errors if error and not isinstance(error, dict | list | tuple))
    return [as_hint(str(error)) for error in own]


def as_hint(sentence: str) -> str:
    """Remove the period, because hints and errors at a field have none (docs/words.md)."""
    return sentence.removesuffix(".")


def target_id(field: Field) -> str:
    """Return the id of the control that a link to this field opens, the first one of a group."""
    if isinstance(field, RadioField | SelectMultipleField):
        return f"{field.id}-0" if field.choices else field.id
    if isinstance(field, FieldList):
        return target_id(field.entries[0]) if field.entries else field.id
    if isinstance(field, FormField):
        return target_id(next(iter(field.form)))
    return str(field.id)


def is_hidden(field: Field) -> bool:
    """Return whether the field has no visible control."""
    return getattr(field.widget, "input_type", "") == "hidden"


def described_by(field: Field, hint: str | None) -> str | None:
    """Return the ids of the hint and the error, in the order they are read out."""
    ids = [f"{field.id}-hint"] if hint else []
    ids += [f"{field.id}-error"] if messages(field) else []
    return " ".join(ids) or None


def blank_row(fields: "FieldList[Any]") -> Field:
    """Return an unfilled entry of the list, numbered `ROW_NUMBER`, for rows.js to copy."""
    options = {
        "name": f"{fields.name}-{ROW_NUMBER}",
        "id": f"{fields.id}-{ROW_NUMBER}",
        "_meta": fields.meta,
    }
    row: Field = fields.meta.bind_field(Form(), fields.unbound_field, options)
    row.process(None)
    return row


def _of_field(field: Field) -> Iterator[Problem]:
    if isinstance(field, FormField):
        yield from problems(field.form)
        return
    target = "" if is_hidden(field) else target_id(field)
    yield from (Problem(message, target) for message in messages(field))
    if isinstance(field, FieldList):
        of_row = getattr(field, "of_row", "")  # set for a list whose rows look alike
        for number, entry in enumerate(field.entries, 1):
            for problem in _of_field(entry):
                text = problem.message
                row = f"{of_row} {number}: {text[:1].lower()}{text[1:]}" if of_row else text
                yield Problem(row, problem.target)


SPRITE: Final = "static/bootstrap5/icons/bootstrap-icons.svg"
SYMBOL: Final = re.compile(r'<symbol [^>]*\bid="([^"]+)"[^>]*>(.*?)</symbol>', re.DOTALL)


@lru_cache(maxsize=1)
def _shapes() -> dict[str, str]:
    sprite = files("flask_bootstrap").joinpath(SPRITE).read_text(encoding="utf-8")
    return {**dict(SYMBOL.findall(sprite)), **GLYPHS}


@lru_cache(maxsize=512)
def icon(name: str, label: str = "") -> Markup:
    """Return the icon as an inline `<svg>`, hidden from screen readers unless it has a label.

    `name` is a Bootstrap icon's name ("check-circle") or one of `GLYPHS`. Raises `KeyError`.
    """
    shape = _shapes()[name]
    voice = f'role="img" aria-label="{escape(label)}"' if label else 'aria-hidden="true"'
    return Markup(  # noqa: S704 - the shapes are ours or an installed package's, the label is escaped
        f'<svg class="icon" viewBox="0 0 16 16" width="16" height="16" fill="currentColor"'
        f' focusable="false" {voice}>{shape}</svg>'
    )


KEEP: Final = "public, max-age=31536000, immutable"
# Modules that main.js imports have plain URLs. Browsers keep and revalidate them (ETag).
ASK: Final = "no-cache"


@lru_cache(maxsize=256)
def _version(path: Path, changed_ns: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def static_url(filename: str) -> str:
    """Return the URL of a static file, with its content's hash as version."""
    path = Path(current_app.static_folder or "static") / filename
    return url_for("static", filename=filename, v=_version(path, path.stat().st_mtime_ns))


POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)

HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def add_security_headers(response: Response) -> Response:
    """Add the security headers that a view didn't set itself, and forbid storing pages.

    Browsers keep a static file forever if its URL has its version.
    """
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if request.endpoint == "static":
        versioned = "v" in request.args and response.status_code == 200
        response.headers["Cache-Control"] = KEEP if versioned else ASK
    else:
        response.headers.setdefault("Cache-Control", "no-store")
    return response


@dataclass(frozen=True, slots=True)
class Place:
    """One page of the navigation, with its label, its stable path, and its permission.

    `also` has paths outside its own that belong to it.
    """

    label: str
    path: str
    permission: str
    also: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """Return the path for the browser, including a prefix."""
        return request.script_root + self.path

    @property
    def is_here(self) -> bool:
        """Return whether the current page is this one or below it, and below no nearer one."""
        return _nearest(g.get("stands_under", request.path)) in (self.path, *self.also)


@dataclass(frozen=True, slots=True)
class Section:
    """One entry of the main navigation, with its tabs."""

    label: str
    places: tuple[Place, ...]

    @property
    def url(self) -> str:
        """Return the URL of its first page."""
        return self.places[0].url

    @property
    def is_here(self) -> bool:
        """Return whether one of its pages is being shown."""
        return any(place.is_here for place in self.places)


# Only in a local trial that shows its emails.
MAILBOX: Final = "Email"
SECTIONS: Final = (
    Section("Overview", (Place("Overview", "/", "home.read"),)),
    Section(
        "Assets",
        (
            Place("Assets", "/assets", "assets.read", also=("/tasks",)),
            Place("Reservations", "/reservations", "assets.read"),
            Place("Maintenance", "/maintenance", "assets.read"),
            Place("Staff", "/staff", "assets.read"),
            Place("Categories", "/categories", "assets.read"),
            Place("Locations", "/locations", "assets.read"),
        ),
    ),
    Section(
        "Deliveries",
        (Place("Deliveries", "/deliveries", "deliveries.read", also=("/batches",)),),
    ),
    Section(
        "Webhooks",
        (Place("Webhooks", "/settings/webhooks", "webhooks.read", also=("/inbox",)),),
    ),
    Section(
        "Alerts",
        (Place("Alerts", "/alerts", "alerts.read", also=("/settings/alerts",)),),
    ),
    Section(
        "Settings",
        (
            Place("Users", "/settings/people", "people.manage"),
            Place("API", "/settings/api", "api.manage"),
            Place("Audit", "/settings/audit", "audit.read"),
            Place(MAILBOX, "/settings/email", "system.read"),
            Place("Organization", "/settings/organization", "organization.edit"),
            Place("System", "/settings/system", "system.read"),
            Place("Backups", "/settings/system/backups", "system.read"),
        ),
    ),
    Section("Help", (Place("Help", "/help", "home.read"),)),
)


def stand_under(path: str) -> None:
    """Show the page in the navigation as if it had this path."""
    g.stands_under = path


def navigation() -> list[Section]:
    """Return the sections, with the tabs that the signed-in person can read."""
    return [section for section in map(_readable, SECTIONS) if section.places]


def section_here() -> Section | None:
    """Return the section of the current page."""
    here = (_readable(section) for section in SECTIONS if section.is_here)
    return next((section for section in here if section.is_here), None)


def _readable(section: Section) -> Section:
    """Return the section without the tabs that the signed-in person can't read."""
    can = cast(Callable[[str], bool], current_app.jinja_env.globals["can"])
    places = (
        place
        for place in section.places
        if can(place.permission) and (place.label != MAILBOX or is_mailbox())
    )
    return Section(section.label, tuple(places))


@lru_cache(maxsize=512)  # every link of the navigation asks
def _nearest(path: str) -> str:
    places = (place for section in SECTIONS for place in section.places)
    paths = (path for place in places for path in (place.path, *place.also))
    above = (known for known in paths if path == known or path.startswith(f"{known}/"))
    return max(above, key=len, default="")
