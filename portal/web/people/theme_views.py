"""By which light somebody reads the pages: as their system says, always light, or always dark.

The choice is a cookie of the browser: it is there before anybody has signed in, and each page is
written in its colours from the first byte.
"""

from typing import Final

from flask import Blueprint, current_app, redirect, request
from werkzeug.wrappers import Response

from portal.web.frame.access import PUBLIC, local_path, requires
from portal.web.frame.page_frame import THEME_COOKIE, THEMES

# Browsers keep no cookie longer than 400 days.
LASTS: Final = 365 * 24 * 3600

theme_blueprint = Blueprint("themes", __name__)


@theme_blueprint.post("/theme")
@requires(PUBLIC)
def choose() -> Response:
    """Keep the choice and go back to the page; whatever is no theme means the system's."""
    answer = redirect(local_path(request.form.get("back")))
    wanted, is_https = request.form.get("theme"), bool(current_app.config["SESSION_COOKIE_SECURE"])
    if wanted in THEMES:
        answer.set_cookie(
            THEME_COOKIE, wanted, max_age=LASTS, httponly=True, secure=is_https, samesite="Lax"
        )
    else:
        answer.delete_cookie(THEME_COOKIE, httponly=True, secure=is_https, samesite="Lax")
    return answer
