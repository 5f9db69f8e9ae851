"""Icons, inlined from the sprite that bootstrap-flask carries, so that no page loads a font."""

import re
from functools import lru_cache
from importlib.resources import files
from typing import Final

from markupsafe import Markup, escape

SPRITE: Final = "static/bootstrap5/icons/bootstrap-icons.svg"
SYMBOL: Final = re.compile(r'<symbol [^>]*\bid="([^"]+)"[^>]*>(.*?)</symbol>', re.DOTALL)


@lru_cache(maxsize=1)
def _shapes() -> dict[str, str]:
    sprite = files("flask_bootstrap").joinpath(SPRITE).read_text(encoding="utf-8")
    return dict(SYMBOL.findall(sprite))


@lru_cache(maxsize=512)
def icon(name: str, label: str = "") -> Markup:
    """The icon as an inline `<svg>`: hidden from screen readers unless it has a label.

    `name` is a Bootstrap icon's name ("check-circle"); an unknown one raises `KeyError`.
    """
    shape = _shapes()[name]
    voice = f'role="img" aria-label="{escape(label)}"' if label else 'aria-hidden="true"'
    return Markup(  # noqa: S704 - the shapes come from an installed package, the label is escaped
        f'<svg class="icon" viewBox="0 0 16 16" width="16" height="16" fill="currentColor"'
        f' focusable="false" {voice}>{shape}</svg>'
    )
