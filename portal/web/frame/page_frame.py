"""What every page stands in: our template helpers, navigation and security headers."""

from typing import Any, Final

from flask import Flask, Response, current_app, g, request, url_for

from portal.config.settings import Settings
from portal.lib.typed_text import harmless
from portal.web.frame import form_rendering, status_tags
from portal.web.frame.icons import icon
from portal.web.frame.navigation import navigation, section_here
from portal.web.frame.security_headers import add_security_headers
from portal.web.frame.static_files import static_url
from portal.web.frame.wording import WORDS

# What an address says of a person's last press alone: links on the page do not carry it on.
RETRIED: Final = "retried"
# The browser's own choice; without one the system decides (portal/web/people/theme_views.py).
THEME_COOKIE: Final = "theme"
THEMES: Final = ("light", "dark")


class PageResponse(Response):
    """A response that can be encoded whatever text stands in it."""

    def set_data(self, value: bytes | str) -> None:
        """Put a question mark where a character has no UTF-8."""
        super().set_data(value.encode(errors="replace") if isinstance(value, str) else value)


def init_app(app: Flask) -> None:
    """Give the application its frame. `can` denies all, and there are neither `troubles` nor a
    `sending_stop`, until told."""
    app.response_class = PageResponse
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.setdefault("can", _deny)
    app.jinja_env.globals.setdefault("troubles", list)
    app.jinja_env.globals.setdefault("sending_stop", lambda: None)
    app.jinja_env.globals.update(WORDS)
    app.jinja_env.filters["harmless"] = harmless
    app.jinja_env.globals.update(
        {
            "as_hint": form_rendering.as_hint,
            "blank_row": form_rendering.blank_row,
            "described_by": form_rendering.described_by,
            "icon_svg": icon,
            "is_hidden": form_rendering.is_hidden,
            "local_trial": local_trial,
            "messages_of": form_rendering.messages,
            "navigation": navigation,
            "page_url": page_url,
            "problems": form_rendering.problems,
            "section_here": section_here,
            "static_url": static_url,
            "target_id": form_rendering.target_id,
            "theme_chosen": theme_chosen,
            "delivery_tag": status_tags.delivery_tag,
            "webhook_tag": status_tags.webhook_tag,
            "asset_tag_of": status_tags.asset_tag_of,
            "person_tag": status_tags.person_tag,
        }
    )
    app.after_request(add_security_headers)


def page_url(**changes: Any) -> str:
    """This page's address with some query values changed; None takes one out.

    A file or a question whose filter could not be read shows the list in its place, and says by
    `g.page_endpoint` whose address that is.
    """
    kept = {name: request.args.getlist(name) for name in request.args if name != RETRIED}
    values = {**kept, **(request.view_args or {}), **changes}
    return url_for(g.get("page_endpoint") or request.endpoint or "", **values)


def theme_chosen() -> str:
    """What this browser\'s reader chose, light or dark; nothing where the system decides."""
    chosen = request.cookies.get(THEME_COOKIE)
    return chosen if chosen in THEMES else ""


def local_trial() -> str:
    """What every page says of a local trial; nothing where this is none."""
    settings: Settings = current_app.extensions["settings"]
    if not settings.local_trial:
        return ""
    opens = ": webhooks may reach this computer itself" if settings.opens_this_machine else ""
    return f"This is a local trial{opens}. Do not use it like this for real work."


def _deny(permission: str) -> bool:
    return False
